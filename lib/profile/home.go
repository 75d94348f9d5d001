package profile

import (
	"fmt"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"

	"hermes-s6/lib/dir"
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
	large    sync.Mutex   // of who has a large record in memory
	waited   atomic.Int64 // how long for locks that we did not get, see alone
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

// path returns where file of profile name is in h. Package dir follows no link on the
// way: every component could have been made one by the account.
func (h *Home) path(name, file string) string {
	if name == Default {
		return file
	}
	return path.Join(profilesDir, name, file)
}
