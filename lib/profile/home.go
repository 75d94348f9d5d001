package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// Names inside a home.
const (
	profilesDir  = "profiles"
	settingsFile = "gateway_service.json"
	stateFile    = "gateway_state.json"
)

// No file that a gateway or we write is near these; what is larger is not
// read at all.
const (
	maxSettings = 4 << 20
	maxState    = 1 << 20
)

// Root returns the home that path means, absolute: ROOT for
// ROOT/profiles/NAME, which is what HERMES_HOME is inside a profile.
func Root(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	parent, name := filepath.Split(path)
	parent = filepath.Clean(parent)
	if filepath.Base(parent) == profilesDir && CheckName(name) == nil {
		return filepath.Dir(parent), nil
	}
	return path, nil
}

// An Account is the Unix account that gateways run as and that owns the home.
type Account struct {
	Name     string
	UID, GID int
	Home     string // its home directory, which is another matter
}

// A Home is an open data root, the directory that holds the root profile and
// profiles/.
type Home struct {
	dir *dir.Dir
	// UID and GID own what is written to the home: the account, where we
	// are root, else -1: whoever we are.
	UID, GID int
}

// OpenHome opens the home at path for uid:gid.
func OpenHome(path string, uid, gid int) (*Home, error) {
	d, err := dir.Open(path)
	if err != nil {
		return nil, err
	}
	return &Home{d, uid, gid}, nil
}

// Close closes h. A nil h is no error.
func (h *Home) Close() {
	if h != nil {
		h.dir.Close()
	}
}

// lockPatience is how long Lock waits: what it keeps apart takes milliseconds.
const lockPatience = 2 * time.Second

// Unlock undoes Lock.
func (h *Home) Unlock() { h.dir.Unlock() }

// Lock keeps others of us from handing out ports in h until Unlock or Close. Whoever may
// read the home can hold the lock as well, and for ever: so an error is no
// reason to give up, only to warn. A file system that knows no locks is none.
func (h *Home) Lock() error {
	err := h.dir.Lock(time.Now().Add(lockPatience))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail.Errorf(fail.Timeout, "lock %s: another process holds it", h.dir.Path(""))
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EOPNOTSUPP):
		return nil
	}
	return err
}

// open opens the directory of profile name; fs.ErrNotExist when there is none.
func (h *Home) open(name string) (*dir.Dir, error) {
	if name == Default {
		return h.dir.Dir(".")
	}
	// Two steps, not one path: in the home every component could have been
	// made a link by the account, and O_NOFOLLOW guards only the last.
	profiles, err := h.dir.Dir(profilesDir)
	if err != nil {
		return nil, err
	}
	defer profiles.Close()
	return profiles.Dir(name)
}

// Settings returns what is recorded of profile name; the zero Settings where
// there is no record or no profile. An error means a record that is no use.
func (h *Home) Settings(name string) (Settings, error) {
	var s Settings
	d, err := h.open(name)
	if err == nil {
		defer d.Close()
		s, err = readSettings(d)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return s, err
}

func readSettings(d *dir.Dir) (s Settings, err error) {
	data, err := d.Read(settingsFile, maxSettings)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err == nil {
		err = s.Check()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = fail.Errorf(fail.System, "%s: %w", d.Path(settingsFile), err)
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

// Forget removes the record of profile name, if there is one.
func (h *Home) Forget(name string) error {
	d, err := h.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Unlink(settingsFile)
}

// Ports returns the ports that profiles other than name hold: what they have on
// record, and for those that have no record, what registered says.
func (h *Home) Ports(name string, registered map[string]int) (*Ports, error) {
	names, err := h.names()
	if err != nil {
		return nil, err
	}
	all := maps.Clone(registered)
	for _, n := range append(names, Default) {
		// A record that cannot be read claims nothing: it must not keep
		// other profiles from being registered.
		if s, err := h.Settings(n); err == nil && s.InForce() != 0 {
			all[n] = s.InForce()
		}
	}
	delete(all, name)
	taken := NewPorts()
	for n, port := range all {
		taken.take(port, n)
	}
	return taken, nil
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
		return nil, nil, err
	}
	names, err := d.Names()
	if err != nil {
		d.Close()
		return nil, nil, err
	}
	return d, names, nil
}

// MakeLogDir makes logs/gateways, in which each gateway's logger makes its own
// directory, where it is missing. undo removes what it made.
func (h *Home) MakeLogDir() (undo func() error, err error) {
	var made []func() error
	undo = func() error {
		for _, remove := range slices.Backward(made) {
			_ = remove() // what is in use by now stays
		}
		return nil
	}
	in := h.dir
	for _, name := range []string{"logs", "gateways"} {
		there, err := in.Exists(name)
		if err != nil {
			return undo, err
		}
		d, err := h.makeDir(in, name)
		if err != nil {
			return undo, err
		}
		if !there {
			parent := in
			made = append(made, func() error { return parent.Rmdir(name) })
		}
		in = d
	}
	return undo, nil
}

func (h *Home) makeDir(in *dir.Dir, name string) (*dir.Dir, error) {
	d, err := in.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return in.Dir(name)
	}
	if err != nil || h.UID < 0 {
		return d, err
	}
	// Between mkdir and open the account may have renamed another directory
	// to this name, a root-owned one included, to have it given away. An
	// empty one is no loss.
	names, err := d.Names()
	if err == nil && len(names) > 0 {
		err = fail.Errorf(fail.System, "mkdir %s: somebody replaced it meanwhile", d.Path(""))
	}
	if err == nil {
		err = d.Own(h.UID, h.GID, 0o755)
	}
	return d, err
}
