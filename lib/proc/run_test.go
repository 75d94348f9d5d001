package proc

import (
	"testing"
	"time"
)

// TestRunLeftBehind: a program that has done its work has succeeded, even if another process
// still holds the pipe that it wrote to.
func TestRunLeftBehind(t *testing.T) {
	out, err := Run(time.Now().Add(time.Minute), "sh", "/bin/sh", "-c", "sleep 10 & echo done")
	if string(out) != "done\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}
