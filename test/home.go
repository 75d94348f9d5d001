//go:build linux

package test

import (
	"os"
	"path/filepath"
	"testing"

	"hermes-s6/lib/must"
)

// accountUID is the UID of the account hermes in the container.
const accountUID = 10000

// newHomeFor makes an empty home with profiles, owned by the account.
func newHomeFor(t *testing.T, profiles ...string) string {
	t.Helper()
	home := t.TempDir()
	for _, d := range []string{filepath.Dir(home), home} {
		must.Do(t, os.Chmod(d, 0o755))
	}
	for _, p := range profiles {
		addProfile(t, home, p, "")
	}
	return home
}

// addProfile adds a profile, with gateway_state.json if state is not empty.
func addProfile(t *testing.T, home, name, state string) {
	t.Helper()
	addProfileOf(t, accountUID, home, name, state)
}

func addProfileOf(t *testing.T, uid int, home, name, state string) {
	t.Helper()
	putFile(t, uid, home, "profiles/"+name+"/SOUL.md", "")
	if state != "" {
		putFile(t, uid, home, "profiles/"+name+"/gateway_state.json", state)
	}
}

// putFile makes a file of home and the directories above it. If we are root, uid owns them all.
func putFile(t *testing.T, uid int, home, path, text string) {
	t.Helper()
	full := filepath.Join(home, path)
	must.Do(t, os.MkdirAll(filepath.Dir(full), 0o755))
	must.Do(t, os.WriteFile(full, []byte(text), 0o644))
	for ; os.Geteuid() == 0; full = filepath.Dir(full) {
		must.Do(t, os.Chown(full, uid, uid))
		if full == home {
			return
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}
