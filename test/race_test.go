//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6/s6test"
)

// all runs the commands at the same time and returns their exit codes.
func all(cmds []*exec.Cmd) []int {
	codes := make([]int, len(cmds))
	var wg sync.WaitGroup
	for i, cmd := range cmds {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_ = cmd.Run()
			codes[i] = cmd.ProcessState.ExitCode()
		}()
	}
	wg.Wait()
	return codes
}

// TestRaceForOneName has eight processes register the same profile at once. One wins, the
// others get 101 and leave nothing behind, and the slot and the record are the winner's.
func TestRaceForOneName(t *testing.T) {
	p, _ := newTree(t)
	var cmds []*exec.Cmd
	for i := range 8 {
		cmds = append(cmds, p.command("hermes-svc-register", "--env", fmt.Sprintf("WINNER=%d", i), "coder"))
	}
	codes := all(cmds)
	winner := slices.Index(codes, 0)
	for i, code := range codes {
		if i != winner && code != 101 {
			t.Errorf("exit codes %v, want one 0 and 101 else", codes)
			break
		}
	}
	want := fmt.Sprintf("WINNER=%d", winner)
	run, _ := os.ReadFile(filepath.Join(p.scan, "gateway-coder/run"))
	if !strings.Contains(string(run), want) {
		t.Errorf("the slot is not the winner's (%s):\n%s", want, run)
	}
	record, _ := os.ReadFile(filepath.Join(p.home, "profiles/coder/gateway_service.json"))
	if !strings.Contains(string(record), fmt.Sprintf(`"WINNER": "%d"`, winner)) {
		t.Errorf("the record is not the winner's (%s):\n%s", want, record)
	}
	if got := p.listing(t); !slices.Equal(got, []string{".s6-svscan", "gateway-coder"}) {
		t.Errorf("scan directory: %v", got)
	}
}

// TestRaceForPorts registers sixty profiles that derive the same port at once. Each waits for
// its turn while others have theirs, whatever else the machine is busy with, and gets a port
// of its own.
func TestRaceForPorts(t *testing.T) {
	p, _ := newTree(t)
	const port = 9728
	var names []string
	for i := 0; len(names) < 60; i++ {
		if name := fmt.Sprint("p", i); profile.DerivePort(name) == port {
			names = append(names, name)
		}
	}
	var cmds []*exec.Cmd
	for _, name := range names {
		p.addProfile(t, name, "")
		cmds = append(cmds, p.command("hermes-svc-register", "--down", "--timeout", "60000", name))
	}
	if codes := all(cmds); slices.Max(codes) != 0 {
		t.Fatalf("exit codes %v", codes)
	}
	ports := map[string]string{}
	for _, name := range names {
		run, err := os.ReadFile(filepath.Join(p.scan, "gateway-"+name, "run"))
		must.Do(t, err)
		_, rest, _ := strings.Cut(string(run), "HERMES_GATEWAY_PORT=")
		port, _, _ := strings.Cut(rest, "\n")
		if other := ports[port]; other != "" {
			t.Errorf("port %s: %s and %s have it", port, other, name)
		}
		ports[port] = name
	}
}

// TestRaceOfRegisterAndUnregister has both at work on one name, again and again. Each answer
// is one that the table allows, and at the end there is a complete slot or none, and nothing
// left over.
func TestRaceOfRegisterAndUnregister(t *testing.T) {
	p, tree := newTree(t)
	for round := range 5 {
		var cmds []*exec.Cmd
		for range 3 {
			cmds = append(cmds, p.command("hermes-svc-register", "coder"), p.command("hermes-svc-unregister", "coder"),
				p.command("hermes-svc-register", "--replace", "--env", fmt.Sprint("ROUND=", round), "coder"))
		}
		for i, code := range all(cmds) {
			if code != 0 && (code != 101 || i%3 != 0) {
				t.Errorf("%v: exit code %d", cmds[i].Args, code)
			}
		}
		left := p.listing(t)
		if !slices.Equal(left, []string{".s6-svscan"}) && !slices.Equal(left, []string{".s6-svscan", "gateway-coder"}) {
			t.Fatalf("scan directory: %v", left)
		}
	}
	p.run(t, 0, "hermes-svc-unregister", "coder")
	noneLeft(t, tree)
}

// TestOwnerAlive: no process cleans up what another is working on. A locked hold, whose owner
// is this test, stays as it is, and others wait for it.
func TestOwnerAlive(t *testing.T) {
	p, _ := newTree(t)
	hold := filepath.Join(p.scan, ".gateway-coder")
	must.Do(t, os.MkdirAll(filepath.Join(hold, "slot"), 0o700))
	dir, err := os.Open(hold)
	must.Do(t, err)
	defer dir.Close()
	must.Do(t, syscall.Flock(int(dir.Fd()), syscall.LOCK_EX))
	p.run(t, 0, "hermes-svc-register", "writer")
	p.run(t, 99, "hermes-svc-register", "--timeout", "100", "coder")
	p.run(t, 99, "hermes-svc-unregister", "--timeout", "100", "coder")
	// Only one profile is unavailable. The others are supervised, although the whole timeout
	// has passed while waiting for it.
	p.run(t, 0, "hermes-svc-unregister", "writer")
	p.run(t, 1, "hermes-reconcile", "--timeout", "3000")
	p.run(t, 0, "s6-svok", filepath.Join(p.scan, "gateway-writer"))
	if _, err := os.Stat(filepath.Join(hold, "slot")); err != nil {
		t.Errorf("the hold of a living owner was cleaned: %v", err)
	}
	dir.Close()
	p.run(t, 0, "hermes-svc-register", "coder")
	if got := p.listing(t); !slices.Equal(got, []string{".s6-svscan", "gateway-coder", "gateway-default", "gateway-writer"}) {
		t.Errorf("scan directory: %v", got)
	}
}

// TestWrongOrderLeavesOrphans removes a slot in the order that seems natural: down, rescan and
// reap, remove. Its two supervisors and its logger run on, which every other test here would
// notice by Processes.
func TestWrongOrderLeavesOrphans(t *testing.T) {
	p, tree := newTree(t)
	p.run(t, 0, "hermes-svc-register", "--wait", "coder")
	waitForFile(t, filepath.Join(p.home, "logs/gateways/coder/current"))
	slot := filepath.Join(p.scan, "gateway-coder")
	p.run(t, 0, "s6-svc", "-wD", "-d", slot)
	p.run(t, 0, "s6-svscanctl", "-an", p.scan)
	// Once another one is supervised, s6-svscan has rescanned.
	p.run(t, 0, "hermes-svc-register", "--wait", "writer")
	p.run(t, 0, "rm", "-rf", slot)
	orphans := slices.DeleteFunc(tree.Processes(), func(p s6test.Process) bool {
		return !strings.Contains(p.Command, "coder")
	})
	if len(orphans) != 3 {
		t.Errorf("processes %v: want two supervisors and a logger", orphans)
	}
	// The next time that s6-svscan is told to reap, they go.
	p.run(t, 0, "hermes-svc-unregister", "writer")
}
