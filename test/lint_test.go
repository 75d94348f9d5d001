//go:build linux

package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hermes-s6/lib/must"
)

// TestTracked: make lint refuses machine code, large files and merge conflicts that git tracks, whatever they
// are called, and nothing else.
func TestTracked(t *testing.T) {
	needSource(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"elf": "\x7fELF\x02", "macho": "\xcf\xfa\xed\xfe", "fat": "\xca\xfe\xba\xbe", "-n w.exe": "MZ\x90\x00",
		"large": string(make([]byte, 500_001)), "enough": string(make([]byte, 500_000)),
		"conflict": "a\n<<<<<<< HEAD\n", "short": "MM", "empty": "", "untracked": "\x7fELF",
	} {
		must.Do(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	must.Do(t, os.Symlink("elf", filepath.Join(dir, "link")))
	for _, args := range [][]string{{"init", "-q"}, {"add", "--", ":!untracked"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
	}
	const want = `./-n w.exe: executable machine code
./conflict: merge conflict
./elf: executable machine code
./fat: executable machine code
./large: larger than 500 kB
./macho: executable machine code
`
	var stderr bytes.Buffer
	cmd := exec.Command("scripts/tracked", dir)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil || stderr.String() != want {
		t.Errorf("%v, it says:\n%swant:\n%s", err, &stderr, want)
	}
}
