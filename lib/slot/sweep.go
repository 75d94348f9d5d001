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

// What a killed run leaves is for the next of us to clean up.

// sweepGrace is what a gateway that a killed run was retiring gets in Sweep.
const sweepGrace = 200 * time.Millisecond

// Sweep cleans up after killed runs, whatever their profile, and has s6-svscan take
// up a slot that one of them had published and could not say so any more. It leaves
// alone what somebody is at work on, and what needs longer than a moment: it is not
// what its caller was asked for. It returns what it could not clean.
func (s *ScanDir) Sweep() (failed []error) {
	all, err := s.dir.Names()
	if err != nil {
		return []error{err}
	}
	var swept []string
	for _, n := range all {
		name, ok := profile.FromSlot(strings.TrimPrefix(n, "."))
		if !ok || n != holdName(name) {
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

// stranded tells whether one of names has a slot that nobody supervises, although
// an s6-svscan could.
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

// clean empties h of what a killed run left: files, half a slot, or one that was
// being retired, whose supervisors may still run. A gateway that is up gets
// until deadline to stop; hurry says what happens then: it is killed, or left
// for another time, with os.ErrDeadlineExceeded.
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

// isSlot tells whether at is a directory, and not a file, or a link to what is
// not ours.
func (h *Hold) isSlot(at s6.Service) (bool, error) {
	st, err := at.In.Stat(at.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR, err
}
