package profile

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// Names inside a home.
const (
	profilesDir  = "profiles"
	settingsFile = "gateway_service.json"
	stateFile    = "gateway_state.json"
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
	locked   bool // by Lock
}

// OpenHome opens the home at path for uid:gid.
func OpenHome(path string, uid, gid int) (*Home, error) {
	d, err := dir.Open(path)
	if err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	return &Home{dir: d, UID: uid, GID: gid}, nil
}

// Close closes h. A nil h is no error.
func (h *Home) Close() {
	if h != nil {
		h.dir.Close()
	}
}

// open opens the directory of profile name; fs.ErrNotExist when there is none.
func (h *Home) open(name string) (*dir.Dir, error) {
	d, err := h.dir.Dir(h.path(name, "."))
	if err != nil {
		return nil, cmp.Or(h.Linked(name), err)
	}
	return d, nil
}

// Linked is an error that says so where the directory of profile name is a symbolic
// link. Nobody follows that: the account can have it lead where it may not write.
func (h *Home) Linked(name string) error {
	if name == Default {
		return nil
	}
	return cmp.Or(linked(h.dir, profilesDir), linked(h.dir, path.Join(profilesDir, name)))
}

// linked is an error where name in d is a symbolic link. It is for messages: that no
// link is followed, package dir sees to.
func linked(d *dir.Dir, name string) error {
	if info, err := os.Lstat(d.Path(name)); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	return fail.Errorf(fail.System, "%s: a symbolic link, which is not followed: put the directory itself there, or mount it there", d.Path(name))
}

// path returns where file of profile name is in h. Package dir follows no link on the
// way: every component could have been made one by the account.
func (h *Home) path(name, file string) string {
	if name == Default {
		return file
	}
	return path.Join(profilesDir, name, file)
}
