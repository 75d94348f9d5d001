package profile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/par"
)

// maxSettings is more than a record of ours can take, eight times what Check lets pass
// (TestLargestRecord). A larger file is not read at all. Only one record larger than
// smallSettings is in memory at a time, or the account could fill it with thousands.
const (
	maxSettings   = 8 << 20
	smallSettings = 4 << 10
)

// openIfThere is open, but returns nil without an error if there is no directory.
func (h *Home) openIfThere(name string) (*dir.Dir, error) {
	d, err := h.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return d, err
}

// Has reports whether there is a profile name: a directory with a SOUL.md. The root profile is
// the home itself, with or without that file.
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

// Bare reports whether nothing in h shows that it has been used, as in an empty mount point:
// it has neither a SOUL.md nor a state.
func (h *Home) Bare() (bool, error) {
	for _, file := range []string{soulFile, stateFile} {
		if there, err := h.dir.Exists(file); err != nil || there {
			return false, err
		}
	}
	return true, nil
}

// Settings returns what is recorded for profile name, or the zero Settings if there is no
// record or no profile. An error means that the record is unusable.
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

// withRecord passes the record at path in d, the directory of a profile or the home, to use,
// if there is one. A full disk or a power cut leaves an empty record, which counts as none.
func (h *Home) withRecord(d *dir.Dir, path string, use func(text []byte, s Settings) error) error {
	// Following a link, root would read a file that the account may not read. A FIFO would
	// hang a boot, and an endless file would fill the memory.
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

// Record writes s down for profile name in one step (see dir.Replace), mode 0600, owned by the
// account. It keeps all other keys of an existing record. An unusable record is moved aside,
// and Record returns its new path. A profile without a directory gets no record. undo restores
// what was there.
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
		return "", undo, err // a record that cannot be restored is not replaced
	}
	aside := ""
	if spoilt != nil {
		if aside, err = d.Aside(settingsFile); err != nil {
			return "", undo, err
		}
		path = d.Path(aside)
	}
	// Replace the file instead of writing into it: it may be a link, or a hard link, to a file
	// that the account cannot write.
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

// rewritten returns the record in d, nil if there is none, and its text if it asks for s.
// spoilt says why an existing record is unusable.
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

// restore restores the record in d: the one that was moved aside, else old, nil for none.
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

// fits refuses a record that is too large to be read again.
func fits(d *dir.Dir, text []byte) error {
	if len(text) > maxSettings {
		return d.Fail("write", settingsFile, dir.ErrTooLarge)
	}
	return nil
}

// Preview returns what Record would write and where. path is "" if the profile has no directory.
func (h *Home) Preview(name string, s Settings) (path string, data []byte, err error) {
	d, err := h.openIfThere(name)
	if d == nil {
		return "", nil, err
	}
	defer d.Close()
	_, data, _, err = h.rewritten(d, s)
	return d.Path(settingsFile), data, err
}

// Forget removes the record of profile name, if there is one. If the directory is a link,
// there is no record of ours.
func (h *Home) Forget(name string) error {
	d, err := h.openIfThere(name)
	if errors.Is(err, errLink) {
		return nil
	}
	if d == nil {
		return err
	}
	defer d.Close()
	// On a read-only file system unlink fails even if there is no such file.
	if there, err := d.Exists(settingsFile); err != nil || !there {
		return err
	}
	return d.Unlink(settingsFile)
}

// Ports returns the ports of all profiles but name: first those that files, the slots that list
// lists, name, on which gateways may be running, then those on record.
func (h *Home) Ports(name string, list func() ([]string, error), files PortFiles) (*Ports, error) {
	var slots, names []string
	var errs [2]error
	par.Do(len(errs), func(i int) {
		if i == 0 {
			slots, errs[i] = list()
		} else {
			names, errs[i] = h.names()
		}
	})
	if err := cmp.Or(errs[0], errs[1]); err != nil {
		return nil, err
	}
	names = append(names, Default)
	taken, index := NewPorts(), h.records().Index()
	records := index.entries(names, nil, time.Now())
	taken.read = append(taken.read, index)
	taken.takeSlots(slots, files, records, name)
	taken.takeAll(names, records, name)
	return taken, nil
}

// records are the files that record the ports of profiles.
func (h *Home) records() PortFiles {
	return PortFiles{h.dir, h.UID, h.GID, func(name string) string { return h.path(name, settingsFile) }, h.recordedPort}
}

// recordedPort returns the port that is recorded for profile name, 0 for none. An unusable
// record claims no port: it must not keep other profiles from being registered.
func (h *Home) recordedPort(name string) (port int) {
	_ = h.withRecord(h.dir, h.path(name, settingsFile), func(_ []byte, s Settings) error {
		port = s.InForce()
		return nil
	})
	return port
}

// names lists the names below profiles/ that can be profile names.
func (h *Home) names() ([]string, error) {
	d, names, err := h.list()
	d.Close()
	return slices.DeleteFunc(names, func(n string) bool { return CheckName(n) != nil }), err
}

// list opens profiles/ and lists its entries. It returns nil if there is no profiles/.
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
