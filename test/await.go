//go:build linux

package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/s6/s6test"
)

func waitForFile(t *testing.T, path string) {
	t.Helper()
	s6test.Await(t, func() error {
		_, err := os.Stat(path)
		return err
	})
}

// awaitOutput waits until output is want, that of a command say.
func awaitOutput(t *testing.T, want string, output func() string) {
	t.Helper()
	s6test.Await(t, func() error {
		if got := output(); got != want {
			return fmt.Errorf("it says:\n%swant:\n%s", got, want)
		}
		return nil
	})
}

// A run of a program of ours that takes this long hangs: every wait in one is bounded
// by its --timeout, or a multiple of it for what comes one after the other.
const hang = 2 * time.Minute

// awaitLong is s6test.Await for what a swarm takes its time for. Each look runs
// several programs, which the containers shall not wait for.
func awaitLong(t *testing.T, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(3 * s6test.Patience)
	for err := condition(); err != nil; err = condition() {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// lives tells whether pid is a process that runs.
func lives(pid int) bool {
	state, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return len(state) > 0 && !strings.Contains(string(state), ") Z ")
}
