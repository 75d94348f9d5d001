//go:build linux

// Package test looks at all of it at once: the programs, on a real s6, in booted
// containers, and what the pages say of them. The files that are no _test.go are what the
// tests have in common, each named for what it gives.
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

// run runs a program of others and returns what it said.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// needSource leaves the test out in a root of the matrix, which has what runs our
// programs, and nothing to make any of.
func needSource(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("go.mod"); err != nil {
		t.Skip("needs the source")
	}
}

// static returns where our binaries are, as they are shipped.
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

// build builds packages of ours without a C library, since roots have others.
func build(to string, packages ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-o", to}, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// scratch is a directory for what tests share, removed when all have run.
var scratch string
