//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// build builds what the programs are compared to, in the way in which they are built.
func (b *bench) build() error {
	var err error
	if b.tools, err = os.MkdirTemp("", "hermes-bench-"); err != nil {
		return err
	}
	// Gateways' scripts find hermes-fence there, and run as another account.
	if err := os.Chmod(b.tools, 0o755); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-ldflags", "-s -w", "-o", b.tools, "./testdata/bench/line", "./testdata/bench/floor"},
		{"cc", "-O2", "-o", b.tool("slots"), "testdata/bench/slots.c"},
		{"cc", "-O2", "-o", b.tool("status"), "testdata/bench/status.c"},
		{"cc", "-O2", "-o", b.tool("peak"), "testdata/bench/peak.c"},
	} {
		cmd := exec.CommandContext(b, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	return b.lay()
}

// lay copies all that is measured, ours and the others, as an image gets its files. A file
// just written by a linker lies in other pages of memory, which makes a start a tenth slower,
// and a large program's more than a small one's.
func (b *bench) lay() error {
	built, err := filepath.Glob("bin/*")
	if err != nil {
		return err
	}
	for _, name := range append(built, b.tool("line"), b.tool("floor")) {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		to := filepath.Join(b.tools, filepath.Base(name))
		if err := errors.Join(os.RemoveAll(to), os.WriteFile(to, data, 0o755)); err != nil {
			return err
		}
	}
	return nil
}

// tool returns the path of something that is measured.
func (b *bench) tool(name string) string { return filepath.Join(b.tools, name) }

// machine describes what the numbers depend on.
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
