//go:build linux

// Package slot knows slots, the service directories of gateways: how one is
// published, changed in place and removed while s6-svscan watches, and what a killed
// run may leave behind. What is in their files is package script's business, where
// profiles and their settings come from package profile's, what a supervisor says
// package s6's.
package slot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

// A ScanDir is an open scan directory and the tree that watches it.
type ScanDir struct {
	s6.Tree
	dir   *dir.Dir
	seals *seals // nil: none are used
}

// Open opens the scan directory of tree.
func Open(tree s6.Tree) (*ScanDir, error) {
	d, err := dir.Open(tree.ScanDir)
	if err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	return &ScanDir{Tree: tree, dir: d}, nil
}

// Close closes s. A nil s is no error.
func (s *ScanDir) Close() {
	if s != nil {
		s.dir.Close()
	}
}

// Writable tells whether we may make and remove slots in s.
func (s *ScanDir) Writable() bool { return s.dir.Writable() }

// Service returns profile's slot as a service, whether it exists or not.
func (s *ScanDir) Service(name string) s6.Service {
	return s6.Service{In: s.dir, Name: profile.Slot(name)}
}

// Exists tells whether there is anything by the name of profile name's slot.
func (s *ScanDir) Exists(name string) (bool, error) { return s.dir.Exists(profile.Slot(name)) }

// Held tells whether somebody is at work on profile name's slot, or was when he was
// killed.
func (s *ScanDir) Held(name string) (bool, error) { return s.dir.Exists(holdName(name)) }

// AnyExist is Exists for one of several.
func (s *ScanDir) AnyExist(names []string) (bool, error) {
	for _, name := range names {
		if there, err := s.Exists(name); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// Profiles is Profiles of s.
func (s *ScanDir) Profiles() ([]string, error) { return Profiles(s.dir) }

// Profiles lists the profiles that have a slot in the scan directory scan, by name. A
// link to a directory is one: service directories are often linked into a scan
// directory. A stray file or a link that leads nowhere is nobody's gateway.
func Profiles(scan *dir.Dir) ([]string, error) {
	all, err := scan.Names()
	if err != nil {
		return nil, err
	}
	names := all[:0]
	for _, n := range all {
		name, ok := profile.FromSlot(n)
		if !ok {
			continue
		}
		// What cannot be told is listed: it is then said of it by name.
		if there, err := (s6.Service{In: scan, Name: n}).Exists(); there || err != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Port returns the port that the slot of profile name was made with, 0 where
// there is none to be found.
func (s *ScanDir) Port(name string) int {
	run, err := s.dir.Read(profile.Slot(name)+"/"+script.RunFile, script.MaxSize)
	if err != nil {
		return 0
	}
	return script.Port(string(run))
}

// A Hold is the right to make, change or remove the slot of one profile, and
// the place to work in: a directory in the scan directory that s6-svscan skips
// because its name begins with a dot, that nobody else can open (mode 0700),
// and that its owner has locked. The lock falls with its owner, so what is in
// a hold that can be locked belongs to nobody and is for the next to clean up.
type Hold struct {
	scan     *ScanDir
	profile  string
	dir      *dir.Dir
	deadline time.Time // of who has it; zero: none
	evicted  bool      // what had the slot's name is in it, and may come back
}

// work is the name in a hold of a slot being built, or of one that has left the
// scan directory. What else is there are files on their way into a slot.
const work = "slot"

// sweepGrace is what a gateway that a killed run was retiring gets in Sweep.
const sweepGrace = 200 * time.Millisecond

func holdName(name string) string { return "." + profile.Slot(name) }

// Hold waits for the hold on profile name, until deadline at the most (exit
// code 99), and finishes what a killed run left in it.
func (s *ScanDir) Hold(name string, deadline time.Time) (*Hold, error) {
	h, err := s.take(name, func(d *dir.Dir) error { return d.Lock(deadline) })
	if err != nil {
		return nil, err
	}
	h.deadline = deadline
	if err := h.clean(deadline, true); err != nil {
		h.Release()
		return nil, err
	}
	return h, nil
}

// LockPorts locks the handing out of ports in home (see profile.Home.Lock). Where
// nothing can be made in the home, nothing is recorded there either: what is left is
// who has which port in this scan directory.
//
// The order is a hold first, then this. Who has this waits for nobody.
func (s *ScanDir) LockPorts(home *profile.Home, timeout time.Duration) (unlock func(), err error) {
	unlock, err = home.Lock(timeout)
	if !profile.Unwritable(err) {
		return unlock, err
	}
	const nobody = "" // no profile has this name, so the hold is none's
	h, err := s.take(nobody, func(d *dir.Dir) error { return d.Lock(Deadline(timeout)) })
	if err != nil {
		return nil, err
	}
	return h.Release, nil
}

// take makes or opens the hold on profile name and locks it with lock.
func (s *ScanDir) take(name string, lock func(*dir.Dir) error) (*Hold, error) {
	d, err := s.dir.Take(holdName(name), checkOwn, lock)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fail.Errorf(fail.Timeout, "%w", err)
	}
	if err != nil {
		return nil, err
	}
	return &Hold{scan: s, profile: name, dir: d}, nil
}

// euid is whom what we make belongs to.
var euid = sync.OnceValue(os.Geteuid)

// checkOwn refuses a hold that somebody else made, who could open and lock it.
func checkOwn(d *dir.Dir) error {
	st, err := d.Stat(".")
	if err != nil {
		return err
	}
	if int(st.Uid) != euid() || st.Mode&0o077 != 0 {
		return fail.Errorf(fail.System, "%s: not ours: remove it", d.Path(""))
	}
	return nil
}

// Release ends h.
func (h *Hold) Release() {
	if h.evicted {
		_ = h.dir.RemoveAll(previous) // or by who finds the hold
	}
	h.scan.dir.Drop(holdName(h.profile), h.dir)
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

// supervised tells whether a supervisor runs on service or on its logger.
func supervised(service s6.Service) (bool, error) {
	for _, s := range []s6.Service{service, service.Log()} {
		if runs, err := s.Supervised(); runs || err != nil {
			return runs, err
		}
	}
	return false, nil
}

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

// lockPatience is how long Lock waits at the least: what it keeps apart takes
// milliseconds.
const lockPatience = 2 * time.Second

// Lock waits for the lock on profile name's slot, until deadline or for lockPatience,
// whichever is later: who commands a gateway and records that, or changes what was
// commanded, has it. Whoever may read the slot can take it, and keep it: after that the
// error is os.ErrDeadlineExceeded, which is no reason for not doing what an operator
// wants. With fs.ErrNotExist there is no slot, and nothing to command. It is let go of
// by closing what is returned, which may be nil: where the file system knows no locks,
// and with an error.
func (s *ScanDir) Lock(name string, deadline time.Time) (*dir.Dir, error) {
	service := s.Service(name)
	if earliest := time.Now().Add(lockPatience); deadline.Before(earliest) { // 0 too: it may be kept for ever
		deadline = earliest
	}
	for {
		d, err := dir.Open(service.Path())
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			err = &fs.PathError{Op: "lock", Path: service.Path(), Err: fs.ErrNotExist}
		}
		if err != nil {
			return nil, err
		}
		err = d.Lock(deadline)
		if err != nil {
			d.Close()
			if dir.NoLocks(err) {
				err = nil
			}
			return nil, err
		}
		// It may have been another's by this name when we opened it.
		there, err := dir.Open(service.Path())
		if err == nil && d.SameAs(there) {
			there.Close()
			return d, nil
		}
		there.Close()
		d.Close()
		if err != nil {
			return nil, err
		}
	}
}

// Unlockable tells whether err, from Lock, is no reason for not changing the slot.
func Unlockable(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrNotExist)
}
