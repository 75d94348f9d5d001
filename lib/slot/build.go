//go:build linux

package slot

import (
	"errors"
	"io/fs"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
)

// What the directories and the FIFO that s6-supervise would otherwise make for
// root alone are to be, so that a member of the account's group can query and
// command the service and do nothing else: s6-supervise keeps them as it finds
// them (control_init in s6-supervise.c).
const (
	eventMode     = 0o3730
	superviseMode = 0o755
	controlMode   = 0o660
)

// Publish makes d's slot and moves it into the scan directory in one step. Exit
// code 101 where the name is taken, by whatever.
func (h *Hold) Publish(d *Definition) error {
	err := h.build(d)
	if err == nil {
		err = h.publish()
	}
	if err != nil {
		_ = h.dir.RemoveAll(work) // the error that counts is the first
	}
	return err
}

// build makes d's slot in h.
func (h *Hold) build(d *Definition) error {
	slot, err := h.dir.Mkdir(work, 0o755)
	if err != nil {
		return err
	}
	defer slot.Close()
	log, err := slot.Mkdir(logDir, 0o755)
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
	for _, f := range Render(d) {
		if err := slot.Create(f.Name, f.Mode, -1, -1, []byte(f.Data)); err != nil {
			return err
		}
	}
	return nil
}

// groupOf returns the group that slots are shared with, -1 where we are not
// root and they are the caller's alone.
func groupOf(a profile.Account) int {
	if euid() != 0 {
		return -1
	}
	return a.GID
}

// seed makes in service what s6-supervise makes where it is missing, and leaves
// alone what is there. It tells whether it made anything.
func seed(service *dir.Dir, group int) (made bool, err error) {
	supervise, fresh, err := makeDir(service, "supervise", superviseMode)
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
		err = supervise.Chgrp("control", group)
	}
	return true, err
}

// makeDir makes the directory name in d, or opens the one that is there.
func makeDir(d *dir.Dir, name string, mode uint32) (made *dir.Dir, fresh bool, err error) {
	made, err = d.Mkdir(name, mode)
	if errors.Is(err, fs.ErrExist) {
		made, err = d.Dir(name)
		return made, false, err
	}
	return made, true, err
}

// publish moves the slot that is in h into the scan directory.
func (h *Hold) publish() error {
	err := h.dir.Publish(work, h.scan.dir, profile.Slot(h.profile))
	if errors.Is(err, unix.EEXIST) {
		return ErrExists(h.profile)
	}
	return err
}

// ErrExists is the answer to registering profile name a second time.
func ErrExists(name string) error {
	return fail.Errorf(fail.Exists, "profile %s: already registered; --keep leaves it, --replace changes it", name)
}

// update makes the files of h's slot in the scan directory those of d, each
// replaced by a rename: a supervisor or a starting gateway finds the old file
// or the new one, and supervise/ and event/ stay as they are. It returns the
// names of the files that it changed.
func (h *Hold) update(d *Definition) (changed []string, err error) {
	slot, err := h.scan.dir.Dir(profile.Slot(h.profile))
	if err != nil {
		return nil, err
	}
	defer slot.Close()
	log, _, err := makeDir(slot, logDir, 0o755)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var seeded []string
	var place []func() error
	for _, s := range []struct {
		name    string
		service *dir.Dir
	}{{"supervise", slot}, {"log/supervise", log}} {
		made, err := seed(s.service, groupOf(d.Account))
		if err != nil {
			return nil, err
		}
		if made {
			seeded = append(seeded, s.name)
		}
	}
	// All are written before the first is put in place: where there is no
	// room for them, nothing has changed.
	defer func() {
		for i := range place {
			_ = h.dir.Unlink(fileName(i))
		}
	}()
	for _, f := range Render(d) {
		in := slot
		if path.Dir(f.Name) == logDir {
			in = log
		}
		name := path.Base(f.Name)
		if f.Name == downFile || in.Is(name, f.Mode, euid(), f.Data) {
			continue
		}
		tmp := fileName(len(changed))
		changed = append(changed, f.Name)
		if err := h.dir.Create(tmp, f.Mode, -1, -1, []byte(f.Data)); err != nil {
			return changed, err
		}
		place = append(place, func() error { return h.place(tmp, in, name) })
	}
	for _, rename := range place {
		if err := rename(); err != nil {
			return changed, err
		}
	}
	all := append(changed, seeded...)
	if changed, err := setDown(slot, d.Down); err != nil || !changed {
		return all, err
	}
	return append(all, downFile), nil
}

// setDown makes or removes slot's ./down. s6-supervise does so as well, at s6-svc -D
// and -U, and nobody writes to it.
func setDown(slot *dir.Dir, down bool) (changed bool, err error) {
	there, err := slot.Exists(downFile)
	switch {
	case err != nil || there == down:
		return false, err
	case down:
		return true, slot.Create(downFile, 0o644, -1, -1, nil)
	}
	return true, slot.Unlink(downFile)
}

// place moves the file tmp from h to its name in a slot, also over a directory.
func (h *Hold) place(tmp string, in *dir.Dir, name string) error {
	err := h.dir.Rename(tmp, in, name)
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	const away = "away" // removed here, or by who finds the hold
	if err := in.Rename(name, h.dir, away); err != nil {
		return err
	}
	if err := h.dir.Rename(tmp, in, name); err != nil {
		return err
	}
	return h.dir.RemoveAll(away)
}

// fileName is the name in a hold of the i-th file on its way into a slot.
func fileName(i int) string { return "file" + strconv.Itoa(i) }
