//go:build linux

package test

import (
	"fmt"
	"os"
	"testing"
)

// note writes a line to the file that `make test` prints at its end. A test that passes has no
// other way to print something.
func note(format string, args ...any) {
	f, err := os.OpenFile(os.Getenv("HERMES_TEST_NOTES"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		fmt.Fprintf(f, format+"\n", args...)
		f.Close()
	}
}

// leaveOut skips the test, and says so where `make test` shows it.
func leaveOut(t *testing.T, format string, args ...any) {
	t.Helper()
	why := fmt.Sprintf(format, args...)
	note("%s: left out: %s", t.Name(), why)
	t.Skip(why)
}
