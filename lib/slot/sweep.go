//go:build linux

package slot

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
)

// What a killed run leaves behind is cleaned up by our next process.

// sweepGrace is the time that a gateway gets in Sweep if a killed run was retiring it.
const sweepGrace = 200 * time.Millisecond

// Sweep cleans up after killed runs, for any profile, and has s6-svscan take up a slot that a
// killed run had published without telling s6-svscan. It skips profiles that a process is
// working on, and whatever takes longer than a moment, because its caller was asked for
// something else. It returns what it could not clean.
func (s *ScanDir) Sweep() (failed []error) {
	all, err := s.dir.Names()
	if err != nil {
		return []error{err}
	}
	var swept []string
	for _, n := range all {
		held, hidden := strings.CutPrefix(n, ".")
		name, ok := profile.FromSlot(held)
		if !hidden || !ok {
			continue
		}
		h, err := s.take(name, (*dir.Dir).TryLock)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err == nil {
			err = h.clean(time.Now().Add(sweepGrace), false)
			h.Release()
			swept = append(swept, name)
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			failed = append(failed, err)
		}
	}
	if s.stranded(swept) {
		if err := s.Rescan(time.Now().Add(dropGrace)); err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// stranded reports whether a slot of one of names is not supervised although s6-svscan is running.
func (s *ScanDir) stranded(names []string) bool {
	if len(names) == 0 || !s.Alive() {
		return false
	}
	return slices.ContainsFunc(names, func(name string) bool {
		there, err := s.Exists(name)
		if err != nil || !there {
			return false
		}
		runs, err := supervised(s.Service(name))
		return err == nil && !runs
	})
}

// clean removes from h what a killed run left: files, half a slot, or one that was being
// retired, whose supervisors may still run. A gateway that is up gets until deadline to stop.
// After that it is killed if hurry is set, else left for later (os.ErrDeadlineExceeded).
func (h *Hold) clean(deadline time.Time, hurry bool) error {
	names, err := h.dir.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != work {
			if err := h.dir.RemoveAll(name); err != nil {
				return err
			}
			continue
		}
		if err := h.cleanWork(deadline, hurry); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hold) cleanWork(deadline time.Time, hurry bool) error {
	r := &retiree{hold: h, name: h.profile, found: true, at: s6.Service{In: h.dir, Name: work}}
	isSlot, err := h.isSlot(r.at)
	if err != nil {
		return err
	}
	runs := false
	if isSlot {
		defer func() { proc.Release(r.supervisors) }()
		if runs, err = r.runs(); err != nil {
			return err
		}
	}
	if !runs {
		return h.dir.RemoveAll(work)
	}
	if r.askDown(); r.err != nil {
		return r.err
	}
	if !hurry {
		if err := r.wait(deadline); err != nil {
			return err
		}
	}
	if r.awaitDown(deadline); r.err != nil {
		return r.err
	}
	h.scan.endLeft(retirees{r}, deadline)
	h.scan.drop(retirees{r}, deadline, func(r *retiree, err error) { r.err = err })
	return r.err
}

// isSlot reports whether at is a directory, not a file or a link to something that is not ours.
func (h *Hold) isSlot(at s6.Service) (bool, error) {
	st, err := at.In.Stat(at.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR, err
}
