//go:build linux

package slot

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/script"
)

// tidy removes what others have left in the directories that own made ours, and makes all
// parts what they have to be.
func tidy(slot *dir.Dir, group int) error {
	for i := range parts {
		p := &parts[i]
		st, err := slot.Stat(p.name)
		if err == nil && p.is(&st, group) && p.isTidy(slot) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = p.tidy(slot, group)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *part) tidy(slot *dir.Dir, group int) error {
	if !p.shared {
		group = -1
	}
	if !p.isDir() { // its directory is ours, so no other user controls the name now
		return slot.Give(p.name, euid(), group, p.mode&0o7777)
	}
	d, err := slot.Dir(p.name)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := p.strays(d)
	for _, name := range names {
		if err == nil {
			err = d.RemoveAll(name)
		}
	}
	if err != nil {
		return err
	}
	return d.Own(euid(), group, p.mode&0o7777)
}

// strays returns the names that may not stay in d, which is the directory p.
func (p *part) strays(d *dir.Dir) (strays []string, err error) {
	names, err := d.Names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		switch st, err := d.Stat(name); {
		case errors.Is(err, fs.ErrNotExist): // s6-supervise renames status.new
		case err != nil:
			return nil, err
		case !p.mayHold(name, &st):
			strays = append(strays, name)
		}
	}
	return strays, nil
}

// isTidy reports whether nothing that may not be there is left in the directory p of slot. In
// a shared directory anyone in the group may create files.
func (p *part) isTidy(slot *dir.Dir) bool {
	if !p.isDir() || p.shared {
		return true
	}
	d, err := slot.Dir(p.name)
	if err != nil {
		return false
	}
	defer d.Close()
	strays, err := p.strays(d)
	return err == nil && len(strays) == 0
}

// isTidy is part.isTidy for all of slot.
func isTidy(slot *dir.Dir) bool {
	return !slices.ContainsFunc(parts[:], func(p part) bool { return !p.isTidy(slot) })
}

// scripts are the files of a slot that update replaces. A supervisor must find them at every
// moment.
var scripts = [...]string{script.TypeFile, script.RunFile, script.FinishFile, script.LogDir + "/" + script.RunFile}

// mayHold reports whether a file can stay in the directory p of a slot: a regular file that is
// ours, or becomes ours, or a FIFO where s6 has one.
func (p *part) mayHold(name string, st *unix.Stat_t) bool {
	if slices.Contains(scripts[:], path.Join(p.name, name)) {
		return true
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return isSafe(st) || path.Base(p.name) == "supervise" && int(st.Uid) == euid() && st.Nlink == 1
	case unix.S_IFDIR:
		return int(st.Uid) == euid()
	case unix.S_IFIFO:
		return name == "control" || p.mode&0o7777 == eventMode
	}
	return false
}
