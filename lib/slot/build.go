//go:build linux

package slot

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/script"
)

// Publish makes d's slot and moves it into the scan directory in one step. It fails with exit
// code 101 if the name is taken, by anything.
func (h *Hold) Publish(d *script.Definition) error {
	err := h.build(d)
	if err == nil {
		err = h.moveIn()
	}
	if err != nil {
		_ = h.dir.RemoveAll(work) // the error that counts is the first
	}
	return err
}

// build makes d's slot in h.
func (h *Hold) build(d *script.Definition) error {
	slot, err := h.dir.Mkdir(work, 0o755)
	if err != nil {
		return err
	}
	defer slot.Close()
	log, err := slot.Mkdir(script.LogDir, 0o755)
	if err != nil {
		return err
	}
	defer log.Close()
	group := groupOf(d.Account)
	for _, service := range []*dir.Dir{slot, log} {
		if _, err := seed(service, group); err != nil {
			return err
		}
	}
	for _, f := range script.Render(d) {
		if err := slot.Create(f.Name, f.Mode, -1, -1, []byte(f.Data)); err != nil {
			return err
		}
	}
	return nil
}

// groupOf returns the group that slots are shared with, or -1 if we are not root and the slots
// are the caller's alone.
func groupOf(a profile.Account) int {
	if euid() != 0 {
		return -1
	}
	return a.GID
}

// seed makes in service what s6-supervise makes if it is missing, and leaves alone what
// exists. It reports whether it made anything.
func seed(service *dir.Dir, group int) (made bool, err error) {
	supervise, fresh, err := makeDir(service, "supervise", slotMode)
	if err != nil {
		return false, err
	}
	defer supervise.Close()
	made = fresh
	for _, in := range []*dir.Dir{service, supervise} {
		event, fresh, err := makeDir(in, "event", 0o700)
		if err != nil {
			return made, err
		}
		if fresh {
			made = true
			err = event.Own(-1, group, eventMode)
		}
		event.Close()
		if err != nil {
			return made, err
		}
	}
	err = supervise.Mkfifo("control", controlMode)
	if errors.Is(err, fs.ErrExist) {
		return made, nil
	}
	if err == nil && group >= 0 {
		err = supervise.Give("control", -1, group, controlMode)
	}
	return true, err
}

// makeDir makes the directory name in d, or opens the existing one.
func makeDir(d *dir.Dir, name string, mode uint32) (made *dir.Dir, fresh bool, err error) {
	made, err = d.Mkdir(name, mode)
	if errors.Is(err, fs.ErrExist) {
		made, err = d.Dir(name)
		return made, false, err
	}
	return made, true, err
}

// moveIn moves the slot that is in h into the scan directory.
func (h *Hold) moveIn() error {
	err := h.dir.RenameNoReplace(work, h.scan.dir, profile.Slot(h.profile))
	if errors.Is(err, unix.EEXIST) {
		return ErrExists(h.profile)
	}
	return err
}

// ErrExists returns the error for registering profile name a second time.
func ErrExists(name string) error {
	return fail.Hint(fail.Errorf(fail.Exists, "profile %s: already registered", name), "--keep leaves it as it is, --replace changes it")
}
