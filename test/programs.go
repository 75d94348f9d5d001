//go:build linux

// Package test tests everything together: the programs, on a real s6, in booted containers,
// and what the documentation says about them. Files that do not end in _test.go are the shared
// harness, each named for what it provides.
package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hermes-s6/lib/must"
)

// run runs an external program and returns its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// needSource skips the test in a root of the matrix, which has what runs our programs, but
// nothing to build them with.
func needSource(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("go.mod"); err != nil {
		t.Skip("needs the source")
	}
}

// static returns the directory of our binaries, built as they are shipped.
func static(t *testing.T) string {
	t.Helper()
	needSource(t)
	dir, err := shipped()
	must.Do(t, err)
	return dir
}

var shipped = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "static")
	return dir, build(dir+"/", "./cmd/...")
})

// build builds packages of ours without a C library, since other roots have other ones.
func build(to string, packages ...string) error { return buildFor(nil, to, packages...) }

// buildFor is build for the system that env names.
func buildFor(env []string, to string, packages ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-o", to}, packages...)...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// scratch is a directory that tests share. It is removed when all have run.
var scratch string
