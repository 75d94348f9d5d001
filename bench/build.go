//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// build builds what the programs are compared to, as they are built themselves, in
// the repository's own module: with the same versions of the same libraries.
func (b *bench) build() error {
	var err error
	if b.tools, err = os.MkdirTemp("", "hermes-bench-"); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-ldflags", "-s -w", "-o", b.tools, "./testdata/bench/line", "./testdata/bench/floor"},
		{"cc", "-O2", "-o", b.tool("slots"), "testdata/bench/slots.c"},
		{"cc", "-O2", "-o", b.tool("peak"), "testdata/bench/peak.c"},
	} {
		cmd := exec.CommandContext(b, args[0], args[1:]...)
		cmd.Dir = b.root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	return nil
}

func (b *bench) tool(name string) string    { return filepath.Join(b.tools, name) }
func (b *bench) program(name string) string { return filepath.Join(b.root, "bin", name) }

// machine tells what the numbers depend on.
func (b *bench) machine() {
	who := "an account, whose gateways they are"
	if os.Geteuid() == 0 {
		who = "root, for another account's gateways"
	}
	b.add("machine", &table{
		header: []string{"rounds", "processors", "Go", "run by"},
		rows:   [][]string{{fmt.Sprint(b.runs), fmt.Sprint(runtime.NumCPU()), runtime.Version(), who}},
	})
}
