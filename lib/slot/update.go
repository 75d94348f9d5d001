//go:build linux

package slot

import (
	"errors"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/script"
)

// update makes the files of h's slot in the scan directory match d. It replaces each one with
// a rename: a supervisor or a starting gateway finds the old file or the new one. supervise/
// and event/ stay as they are. It returns the names of the files that it changed.
func (h *Hold) update(slot *dir.Dir, d *script.Definition) (changed []string, err error) {
	log, err := slot.Dir(script.LogDir)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	for _, service := range []*dir.Dir{slot, log} {
		if _, err := seed(service, groupOf(d.Account)); err != nil {
			return nil, err
		}
	}
	var place []func() error
	// All files are written before the first is put in place, so nothing has changed if there
	// is no room for them.
	defer func() {
		for i := range place {
			_ = h.dir.Unlink(fileName(i))
		}
	}()
	for _, f := range script.Render(d) {
		in, name := slot, path.Base(f.Name)
		if path.Dir(f.Name) == script.LogDir {
			in = log
		}
		if f.Name == script.DownFile || in.Is(name, f.Mode, euid(), f.Data) {
			continue
		}
		tmp, mode, put := fileName(len(changed)), f.Mode, h.place
		if in == log && !sameText(log, name, f.Data) {
			mode, put = untoldMode, h.placeLog
		}
		changed = append(changed, f.Name)
		if err := h.dir.Create(tmp, mode, -1, -1, []byte(f.Data)); err != nil {
			return changed, err
		}
		place = append(place, func() error { return put(tmp, in, name) })
	}
	for _, rename := range place {
		if err := rename(); err != nil {
			return changed, err
		}
	}
	done, err := setDown(slot, d.Down)
	if done {
		changed = append(changed, script.DownFile)
	}
	return changed, err
}

// setDown makes or removes slot's ./down. s6-supervise does so too, for s6-svc -D and -U. It
// is never written to.
func setDown(slot *dir.Dir, down bool) (changed bool, err error) {
	there, err := slot.Exists(script.DownFile)
	switch {
	case err != nil || there == down:
		return false, err
	case down:
		return true, slot.Create(script.DownFile, 0o644, -1, -1, nil)
	}
	return true, slot.Unlink(script.DownFile)
}

// untoldMode is the mode of a new logger script that the logger has not been told about. A
// killed run leaves it for the next run.
const untoldMode = 0o744

// sameText reports whether the logger's script is text, and the logger runs it.
func sameText(log *dir.Dir, name, text string) bool {
	if log.Is(name, untoldMode, euid(), text) {
		return false
	}
	old, err := log.Read(name, script.MaxSize)
	return err == nil && string(old) == text
}

// placeLog is place for the logger's script, and restarts the logger with it. What the logger
// has not read stays in its pipe, which s6-svscan keeps open.
func (h *Hold) placeLog(tmp string, log *dir.Dir, name string) error {
	if err := h.place(tmp, log, name); err != nil {
		return err
	}
	logger := h.scan.Service(h.profile).Log()
	if err := logger.Control("t"); err != nil && fail.CodeOf(err) != fail.Absent {
		return err
	}
	return log.Give(name, -1, -1, 0o755)
}

// place moves the file tmp from h to its name in a slot, replacing even a directory.
func (h *Hold) place(tmp string, in *dir.Dir, name string) error {
	err := h.dir.Rename(tmp, in, name)
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	const away = "away" // removed here, or by the hold's next owner
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

// change makes h's slot, which differs from d, match d: in place under supervisors that can
// stay, else by making it anew.
func (h *Hold) change(d *script.Definition) (change Change, err error) {
	slot, err := h.scan.dir.Dir(profile.Slot(h.profile))
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP): // what is no directory is not supervised
		return h.anew(d, h.evict(true))
	case err != nil: // unknown, because it cannot be opened
		return change, err
	}
	defer slot.Close()
	group := groupOf(d.Account)
	var alive []proc.Process
	sound, intact := true, ours(slot)
	if !intact {
		alive, sound, err = own(slot)
	} else if anybodys(slot) {
		alive = supervisors(slot)
	}
	if err != nil {
		return change, err
	}
	defer proc.Release(alive)
	live, err := supervised(h.scan.Service(h.profile))
	if !sound { // a lock that others could put there proves nothing
		live, err = len(alive) > 0, nil
	}
	// s6-svscan makes the pipe to a logger when it first sees the service.
	logs := false
	if err == nil {
		logs, err = slot.Exists(script.LogDir)
	}
	switch {
	case err != nil:
		return change, err
	case !live:
		return h.anew(d, h.evict(intact))
	case !sound || !logs:
		wanted, err := h.oust()
		down := *d
		down.Down = d.Down || !wanted
		return h.anew(&down, err)
	}
	if err = tidy(slot, group); err == nil {
		change.Files, err = h.update(slot, d)
	}
	if err == nil && len(change.Files) == 0 {
		change.Files = []string{"permissions"}
	}
	if err == nil && d.Drops() && len(alive) > 0 {
		endRoots(alive)
	}
	return change, err
}

// anew publishes d's slot in place of another one, unless err says that the old one is still
// there.
func (h *Hold) anew(d *script.Definition, err error) (Change, error) {
	if err == nil {
		err = h.Publish(d)
	}
	if err != nil {
		_ = h.Restore() // the error that counts is the first
	}
	return Change{Files: []string{everything}, Anew: true}, err
}
