package profile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/par"
)

// maxSettings is more than a record of ours can be, eight times what Check lets
// pass (TestLargestRecord); what is larger is not read at all.
const maxSettings = 8 << 20

// Has tells whether there is a profile name: a directory with a SOUL.md, or for
// the root profile a home with that or a state.
func (h *Home) Has(name string) (bool, error) {
	if name == Default {
		return isRoot(h.dir)
	}
	d, err := h.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer d.Close()
	return d.Exists(soulFile)
}

// Settings returns what is recorded of profile name; the zero Settings where
// there is no record or no profile. An error means a record that is no use.
func (h *Home) Settings(name string) (Settings, error) {
	s, err := readSettings(h.dir, h.path(name, settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return s, err
}

func readSettings(d *dir.Dir, path string) (s Settings, err error) {
	// A link would have root read for the account what that may not; a FIFO would
	// hang a boot, and a file without end fill the memory.
	data, err := d.Read(path, maxSettings)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err == nil {
		err = s.Check()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = fail.Errorf(fail.System, "%s: %w", d.Path(path), err)
	}
	if err != nil {
		s = Settings{}
	}
	return s, err
}

// Record writes s down for profile name, mode 0600, the account's, in one step
// (see dir.Replace). A profile that has no directory gets no record. undo
// brings back what was there.
func (h *Home) Record(name string, s Settings) (undo func() error, err error) {
	nothing := func() error { return nil }
	d, err := h.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nothing, nil
	}
	if err != nil {
		return nothing, err
	}
	defer d.Close()
	h.alone(name, d)
	old, oldErr := d.Read(settingsFile, maxSettings)
	if oldErr != nil && !errors.Is(oldErr, fs.ErrNotExist) {
		return nothing, oldErr // what cannot be brought back is not replaced
	}
	data, err := encode(s)
	if err != nil {
		return nothing, err
	}
	if bytes.Equal(old, data) {
		return nothing, nil
	}
	// Not into the file that is there: it may be a link, or a hard link, to one
	// that the account could not write.
	if err := d.Replace(settingsFile, 0o600, h.UID, h.GID, data); err != nil {
		return nothing, err
	}
	return func() error {
		if oldErr != nil {
			return h.Forget(name)
		}
		d, err := h.open(name)
		if err != nil {
			return err
		}
		defer d.Close()
		h.alone(name, d)
		return d.Replace(settingsFile, 0o600, h.UID, h.GID, old)
	}, nil
}

// Preview returns what Record would write and where; path is "" where the
// profile has no directory.
func (h *Home) Preview(name string, s Settings) (path string, data []byte, err error) {
	d, err := h.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	defer d.Close()
	data, err = encode(s)
	return d.Path(settingsFile), data, err
}

func encode(s Settings) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(s)
	return buf.Bytes(), err
}

// Forget removes the record of profile name, if there is one: in what is no directory
// we have put none.
func (h *Home) Forget(name string) error {
	d, err := h.dir.Dir(h.path(name, "."))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	// On a read-only file system unlink fails for nothing, too.
	if there, err := d.Exists(settingsFile); err != nil || !there {
		return err
	}
	return d.Unlink(settingsFile)
}

// Ports returns the ports that profiles other than name hold: what they have on
// record, and for those of slots that have no record, what portOf says.
func (h *Home) Ports(name string, slots []string, portOf func(string) int) (*Ports, error) {
	names, err := h.names()
	if err != nil {
		return nil, err
	}
	names = append(names, Default)
	recorded := make([]int, len(names))
	par.Do(len(names), func(i int) { recorded[i] = h.recordedPort(names[i]) })
	taken := NewPorts()
	known := make(map[string]bool, len(names))
	for i, n := range names {
		if recorded[i] != 0 && n != name {
			taken.take(recorded[i], n)
			known[n] = true
		}
	}
	slots = slices.DeleteFunc(slices.Clone(slots), func(n string) bool { return known[n] || n == name })
	ports := make([]int, len(slots))
	par.Do(len(slots), func(i int) { ports[i] = portOf(slots[i]) })
	for i, n := range slots {
		if ports[i] != 0 {
			taken.take(ports[i], n)
		}
	}
	return taken, nil
}

// recordedPort returns the port that profile name has on record, 0 for none. A record
// that is no use claims nothing: it must not keep other profiles from being registered.
func (h *Home) recordedPort(name string) int {
	data, err := h.dir.Read(h.path(name, settingsFile), maxSettings)
	if err != nil {
		return 0
	}
	// Of thousands of records no more than this is looked at.
	var record struct {
		Port        int `json:"port"`
		DerivedPort int `json:"derived_port"`
	}
	if json.Unmarshal(data, &record) != nil {
		return 0
	}
	s := Settings{Port: record.Port, DerivedPort: record.DerivedPort}
	if s.Check() != nil {
		return 0
	}
	return s.InForce()
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
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, cmp.Or(linked(h.dir, profilesDir), err)
	}
	names, err := d.Names()
	if err != nil {
		d.Close()
		return nil, nil, err
	}
	return d, names, nil
}
