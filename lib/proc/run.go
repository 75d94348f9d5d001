package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"hermes-s6/lib/fail"
)

// An Exit is the failure of a program that was run.
type Exit struct {
	Name string // the program's
	Code int    // -1 if it was killed
	How  string // "exit status 1", "signal: killed"
	Said string // what it printed on stderr, on one line
}

// Error implements error.
func (e *Exit) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("%s: %s", e.Name, e.How)
	}
	return fmt.Sprintf("%s: %s: %s", e.Name, e.How, e.Said)
}

// pipeLimit is how long to wait for a program's output after its end. A child that it left
// behind must not make us wait for the pipe. But on a machine that stalls for a moment, a
// shorter limit would pass before we have read all output.
const pipeLimit = 3 * time.Second

// Run runs the program at path, called name in messages, at most until deadline (zero: no
// limit), after which the error has exit code 99. If the program fails, the error is an *Exit
// with exit code 110.
func Run(deadline time.Time, name, path string, args ...string) (stdout []byte, err error) {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if !deadline.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, deadline)
	}
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C") // its messages are parsed
	cmd.WaitDelay = pipeLimit
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err = cmd.Output()
	// It has exited 0, and its output is complete.
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return stdout, nil
	}
	if ctx.Err() != nil {
		return stdout, fail.Errorf(fail.Timeout, "%s: timed out", name)
	}
	if fail.Scarce(err) {
		return stdout, fail.Errorf(fail.System, "%s: %w", name, err)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return stdout, fail.Errorf(fail.Program, "%s: %w", name, err)
	}
	said := strings.Join(strings.Fields(text(stderr.Bytes())), " ")
	return stdout, fail.Errorf(fail.Program, "%w", &Exit{name, exit.ExitCode(), exit.String(), said})
}
