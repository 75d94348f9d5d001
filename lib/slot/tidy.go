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

// tidy removes from the directories that own made ours what others have left there,
// and makes all parts what they have to be.
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
	if !p.isDir() { // in a directory of ours: the name is no other's now
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
		case errors.Is(err, fs.ErrNotExist): // status.new goes by itself
		case err != nil:
			return nil, err
		case !p.mayHold(name, &st):
			strays = append(strays, name)
		}
	}
	return strays, nil
}

// isTidy tells whether nothing that may not be there is left in the directory p of
// slot. In one that is shared anybody in the group can put what he likes.
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

// scripts are the files of a slot that update replaces. A supervisor is to find them at
// each moment.
var scripts = [...]string{script.TypeFile, script.RunFile, script.FinishFile, script.LogDir + "/" + script.RunFile}

// mayHold tells whether a file can stay in the directory p of a slot: what is ours and
// plain, or comes to be, and FIFOs where s6 has them.
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
