//go:build linux

package test

import (
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
