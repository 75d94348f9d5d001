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

// awaitMoves is s6test.Await for what many take part in: as long as its error is another
// than before, something happens, and the time does not count.
func awaitMoves(t *testing.T, condition func() error) {
	t.Helper()
	before, deadline := "", time.Time{}
	for err := condition(); err != nil; err = condition() {
		if err.Error() != before {
			before, deadline = err.Error(), time.Now().Add(2*s6test.Patience)
		}
		if time.Now().After(deadline) {
			t.Fatalf("for %v: %v", 2*s6test.Patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// lives tells whether pid is a process that runs.
func lives(pid int) bool {
	state, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return len(state) > 0 && !strings.Contains(string(state), ") Z ")
}
