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

// Root returns the absolute path of the home that path refers to. For ROOT/profiles/NAME,
// which is HERMES_HOME inside a profile, that is ROOT.
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
	Home     string // its home directory, not a Home
}

// A Home is an open data root, the directory that holds the root profile and
// profiles/.
type Home struct {
	dir *dir.Dir
	// UID and GID own what is written to the home. They are the account's if we are root, else
	// -1, which leaves the owner as it is.
	UID, GID int
	large    sync.Mutex   // held while a large record is in memory
	waited   atomic.Int64 // time spent waiting for locks that we did not get, see alone
}

// OpenHome opens the home at path for uid:gid.
func OpenHome(path string, uid, gid int) (*Home, error) {
	d, err := dir.Open(path)
	if err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	return &Home{dir: d, UID: uid, GID: gid}, nil
}

// Close closes h. h may be nil.
func (h *Home) Close() {
	if h != nil {
		h.dir.Close()
	}
}

// path returns the path of file of profile name in h. Package dir follows no link on the way,
// because the account could replace every component with one.
func (h *Home) path(name, file string) string {
	if name == Default {
		return file
	}
	return path.Join(profilesDir, name, file)
}
