//go:build linux

package test

import (
	"os"
	"path/filepath"
	"testing"
)

// accountUID is hermes' in the container.
const accountUID = 10000

// newHomeFor makes an empty home with profiles, the account's.
func newHomeFor(t *testing.T, profiles ...string) string {
	t.Helper()
	home := t.TempDir()
	for _, d := range []string{filepath.Dir(home), home} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range profiles {
		addProfile(t, home, p, "")
	}
	return home
}

// addProfile adds a profile, with gateway_state.json where state is not empty.
func addProfile(t *testing.T, home, name, state string) {
	t.Helper()
	dir := filepath.Join(home, "profiles", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"SOUL.md": ""}
	if state != "" {
		files["gateway_state.json"] = state
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{home, filepath.Dir(dir), dir} {
		_ = os.Chown(path, accountUID, accountUID)
	}
	for file := range files {
		_ = os.Chown(filepath.Join(dir, file), accountUID, accountUID)
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

// putFile makes a file of home and the directories above it, all the account's.
func putFile(t *testing.T, home, path string, data []byte) {
	t.Helper()
	full := filepath.Join(home, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, data, 0o644); err != nil {
		t.Fatal(err)
	}
	for ; ; full = filepath.Dir(full) {
		if err := os.Chown(full, accountUID, accountUID); err != nil && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		if full == home {
			return
		}
	}
}
