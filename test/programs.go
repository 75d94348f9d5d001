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

// static builds our binaries as they are shipped, once, and returns where.
var static = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "static")
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

// scratch is a directory for what tests share, removed when all have run.
var scratch string
