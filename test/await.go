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

// awaitOutput waits until output returns want, for example the output of a command.
func awaitOutput(t *testing.T, want string, output func() string) {
	t.Helper()
	s6test.Await(t, func() error {
		if got := output(); got != want {
			return fmt.Errorf("it says:\n%swant:\n%s", got, want)
		}
		return nil
	})
}

// A run of one of our programs that takes this long hangs: every wait in it is bounded by its
// --timeout, or by a multiple of it for several waits in a row.
const hang = 2 * time.Minute

// awaitLong is s6test.Await for what takes a swarm some time. Each look runs several programs,
// so it looks rarely, to spare the containers.
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

// awaitMoves is s6test.Await for what many processes take part in: while its error changes,
// something happens, and the time does not count.
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

// lives reports whether pid is a running process.
func lives(pid int) bool {
	state, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return len(state) > 0 && !strings.Contains(string(state), ") Z ")
}
