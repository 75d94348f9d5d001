package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// maxSettings is more than a record of ours can be, eight times what Check lets
// pass (TestLargestRecord); what is larger is not read at all. Of records over
// smallSettings only one at a time is in memory, or the account could fill it with thousands.
const (
	maxSettings   = 8 << 20
	smallSettings = 4 << 10
)

// openIfThere is open for which no directory is no error: then it returns nil.
func (h *Home) openIfThere(name string) (*dir.Dir, error) {
	d, err := h.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return d, err
}

// Has tells whether there is a profile name: a directory with a SOUL.md. The root profile
// is the home itself, with that or without.
func (h *Home) Has(name string) (bool, error) {
	if name == Default {
		return true, nil
	}
	d, err := h.openIfThere(name)
	if d == nil {
		return false, err
	}
	defer d.Close()
	return d.Exists(soulFile)
}

// Bare tells whether nothing in h says that it has been used, as an empty mount point:
// there is neither a SOUL.md nor a state.
func (h *Home) Bare() (bool, error) {
	for _, file := range []string{soulFile, stateFile} {
		if there, err := h.dir.Exists(file); err != nil || there {
			return false, err
		}
	}
	return true, nil
}

// Settings returns what is recorded of profile name; the zero Settings where
// there is no record or no profile. An error means a record that is no use.
func (h *Home) Settings(name string) (s Settings, err error) {
	d, err := h.openIfThere(name)
	if d == nil {
		return s, err
	}
	defer d.Close()
	err = h.withRecord(d, settingsFile, func(_ []byte, recorded Settings) error {
		s = recorded
		return nil
	})
	return s, err
}

// withRecord hands the record at path in d, the directory of a profile or the home, to use,
// if there is one. An empty one is none: it is what a full disk leaves, or a power cut.
func (h *Home) withRecord(d *dir.Dir, path string, use func(text []byte, s Settings) error) error {
	// A link would have root read for the account what that may not; a FIFO would
	// hang a boot, and a file without end fill the memory.
	text, err := d.Read(path, smallSettings)
	if errors.Is(err, dir.ErrTooLarge) {
		h.large.Lock()
		defer h.large.Unlock()
		text, err = d.Read(path, maxSettings)
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return nil
	}
	var s Settings
	if err == nil {
		if s, err = parseSettings(text); err == nil {
			return use(text, s)
		}
		err = fmt.Errorf("%s: %w", d.Path(path), err)
	}
	if fail.Unread(err) {
		return fail.Errorf(fail.System, "%w", err)
	}
	return fail.Hint(fail.Errorf(fail.System, "%w", err), "repair this file, or register the profile again; it is left as it is")
}

// Record writes s down for profile name, mode 0600, the account's, in one step
// (see dir.Replace), and keeps what else stands in a record that is there. One that
// is no use is moved aside, and the path that it has then returned. A profile that
// has no directory gets no record. undo brings back what was there.
func (h *Home) Record(name string, s Settings) (path string, undo func() error, err error) {
	undo = func() error { return nil }
	d, err := h.openIfThere(name)
	if d == nil {
		return "", undo, err
	}
	defer d.Close()
	h.alone(d)
	old, data, spoilt, err := h.rewritten(d, s)
	if err != nil || spoilt == nil && bytes.Equal(old, data) {
		return "", undo, err // what cannot be brought back is not replaced
	}
	aside := ""
	if spoilt != nil {
		if aside, err = d.Aside(settingsFile); err != nil {
			return "", undo, err
		}
		path = d.Path(aside)
	}
	// Not into the file that is there: it may be a link, or a hard link, to one
	// that the account could not write.
	if err := h.replace(d, data); err != nil {
		if aside != "" {
			err = errors.Join(err, h.restore(d, aside, old))
		}
		return "", undo, err
	}
	return path, func() error {
		d, err := h.open(name)
		if err != nil {
			return err
		}
		defer d.Close()
		h.alone(d)
		return h.restore(d, aside, old)
	}, nil
}

// rewritten returns the record in d, nil where there is none, and its text when it asks
// for s. spoilt says why the one that is there is no use.
func (h *Home) rewritten(d *dir.Dir, s Settings) (old, data []byte, spoilt, err error) {
	var others *object
	spoilt = h.withRecord(d, settingsFile, func(text []byte, _ Settings) (err error) {
		old = text
		others, err = parseObject(text)
		return err
	})
	if fail.Unread(spoilt) {
		return nil, nil, nil, spoilt
	}
	data, err = encode(s, others)
	return old, data, spoilt, err
}

// restore brings back what was the record in d: what was moved aside, or old, nil for
// none.
func (h *Home) restore(d *dir.Dir, aside string, old []byte) error {
	switch {
	case aside != "":
		return d.Rename(aside, d, settingsFile)
	case old == nil:
		return d.Unlink(settingsFile)
	}
	return h.replace(d, old)
}

func (h *Home) replace(d *dir.Dir, text []byte) error {
	if err := fits(d, text); err != nil {
		return err
	}
	return d.Replace(settingsFile, 0o600, h.UID, h.GID, text)
}

// stage is the first half of replace (see dir.Stage).
func (h *Home) stage(d *dir.Dir, text []byte) (unix.Stat_t, error) {
	if err := fits(d, text); err != nil {
		return unix.Stat_t{}, err
	}
	return d.Stage(settingsFile, 0o600, h.UID, h.GID, text)
}

// fits refuses a record that could not be read again.
func fits(d *dir.Dir, text []byte) error {
	if len(text) > maxSettings {
		return d.Fail("write", settingsFile, dir.ErrTooLarge)
	}
	return nil
}

// Preview returns what Record would write and where; path is "" where the
// profile has no directory.
func (h *Home) Preview(name string, s Settings) (path string, data []byte, err error) {
	d, err := h.openIfThere(name)
	if d == nil {
		return "", nil, err
	}
	defer d.Close()
	_, data, _, err = h.rewritten(d, s)
	return d.Path(settingsFile), data, err
}

// Forget removes the record of profile name, if there is one. Where the directory is
// a link there is none of ours.
func (h *Home) Forget(name string) error {
	d, err := h.openIfThere(name)
	if errors.Is(err, errLink) {
		return nil
	}
	if d == nil {
		return err
	}
	defer d.Close()
	// On a read-only file system unlink fails for nothing, too.
	if there, err := d.Exists(settingsFile); err != nil || !there {
		return err
	}
	return d.Unlink(settingsFile)
}

// Ports returns the ports that profiles other than name have: what the files of slots say,
// whose gateways may be running on them, and then what is on record.
func (h *Home) Ports(name string, slots []string, files *PortIndex) (*Ports, error) {
	names, err := h.names()
	if err != nil {
		return nil, err
	}
	taken := NewPorts()
	taken.TakeAll(slots, name, files)
	taken.TakeAll(append(names, Default), name, h.records().Index())
	return taken, nil
}

// records are the files that have the ports of profiles on record.
func (h *Home) records() PortFiles {
	return PortFiles{h.dir, h.UID, h.GID, func(name string) string { return h.path(name, settingsFile) }, h.recordedPort}
}

// recordedPort returns the port that profile name has on record, 0 for none. A record
// that is no use claims nothing: it must not keep other profiles from being registered.
func (h *Home) recordedPort(name string) (port int) {
	_ = h.withRecord(h.dir, h.path(name, settingsFile), func(_ []byte, s Settings) error {
		port = s.InForce()
		return nil
	})
	return port
}

// names lists the names below profiles/ that a profile can have.
func (h *Home) names() ([]string, error) {
	d, names, err := h.list()
	d.Close()
	return slices.DeleteFunc(names, func(n string) bool { return CheckName(n) != nil }), err
}

// list opens profiles/ and lists all that is in it; nil where there is none.
func (h *Home) list() (*dir.Dir, []string, error) {
	d, err := h.dir.Dir(profilesDir)
	err = notLink(h.dir, profilesDir, err)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	names, err := d.Subdirs()
	if err != nil {
		d.Close()
		return nil, nil, err
	}
	return d, names, nil
}
