//go:build linux

package test

import (
	"fmt"
	"os"
	"os/signal"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hermes-s6/lib/command"
)

// withScratch runs the tests of m with scratch, at the top of the repository: tests use paths
// relative to that.
type withScratch struct{ *testing.M }

func (m withScratch) Run() int {
	_, err := os.Stat("testdata/script")
	if err != nil { // go test always runs us in its package's directory
		err = os.Chdir("..")
	}
	if err == nil {
		scratch, err = os.MkdirTemp("", "hermes-tests-")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	heedInterrupts()
	return m.M.Run()
}

// heedInterrupts makes SIGINT end us even if it was ignored, as in a shell's background job.
// Otherwise all processes that we start would ignore it as well.
func heedInterrupts() {
	if signal.Ignored(os.Interrupt) {
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, os.Interrupt)
		go func() { <-interrupts; os.Exit(1) }()
	}
}

func TestMain(m *testing.M) {
	testscript.Main(withScratch{m}, map[string]func(){
		"hermes-svc-register":   func() { os.Exit(command.Register(os.Args)) },
		"hermes-svc-unregister": func() { os.Exit(command.Unregister(os.Args)) },
		"hermes-reconcile":      func() { os.Exit(command.Reconcile(os.Args)) },
		"hermes-svstat":         func() { os.Exit(command.Svstat(os.Args)) },
		"hermes-logs":           func() { os.Exit(command.Logs(os.Args)) },
		"hermes-detect":         func() { os.Exit(command.Detect(os.Args)) },
		"hermes-svc":            func() { os.Exit(command.Svc(os.Args)) },
		"hermes-fence":          func() { os.Exit(command.Fence(os.Args)) },
		"hermes-s6":             func() { os.Exit(command.Suite(os.Args)) },
	})
}
