//go:build linux

package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/must"
)

// TestLargeRecords reconciles profiles that share one record of a megabyte by hard links,
// which costs the account that megabyte. It may cost us a few megabytes, but not a few for each.
func TestLargeRecords(t *testing.T) {
	const profiles, most = 20, 90 << 10 // KiB; the race detector needs most of it
	p, _ := newTree(t)
	var env []string
	for i := range 8 {
		env = append(env, fmt.Sprintf(`"V%d":"%s"`, i, strings.Repeat("x", 120<<10)))
	}
	record := filepath.Join(p.home, "record")
	must.Do(t, os.WriteFile(record, []byte(`{"env":{`+strings.Join(env, ",")+`}}`), 0o600))
	for i := range profiles {
		name := fmt.Sprint("p", i)
		p.addProfile(t, name, "")
		must.Do(t, os.Link(record, filepath.Join(p.home, "profiles", name, "gateway_service.json")))
	}
	for _, args := range [][]string{{"hermes-reconcile", "--dry-run"}, {"hermes-reconcile", "--profiles", "p1,p2"}, {"hermes-svc-register", "--down", "coder"}} {
		if rss := peak(t, p.command(args[0], args[1:]...)); rss > most {
			t.Errorf("%v: %d KiB were in memory, more than %d", args, rss, most)
		} else {
			t.Logf("%v: %d KiB", args, rss)
		}
	}
}

// peak runs cmd and returns its peak memory in KiB (VmHWM in proc_pid_status(5)). wait4(2)
// would report at least our own.
func peak(t *testing.T, cmd *exec.Cmd) (kib int) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must.Do(t, cmd.Start())
	done := make(chan error)
	go func() { done <- cmd.Wait() }()
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if _, line, ok := bytes.Cut(status, []byte("VmHWM:")); ok {
			_, _ = fmt.Sscan(string(line), &kib)
		}
		select {
		case err := <-done:
			if err != nil || kib == 0 {
				t.Fatalf("%v: %v, %d KiB\n%.2000s", cmd.Args, err, kib, out.Bytes())
			}
			return kib
		case <-time.After(time.Millisecond):
		}
	}
}

// TestPowerCut: existing records are replaced only after the new ones have been synced, with
// one call for all. First records that a power cut loses or empties, in any number, come back
// with the ports that they had.
func TestPowerCut(t *testing.T) {
	needStrace(t)
	p := newPlace(t)
	for i := range 60 {
		p.addProfile(t, fmt.Sprint("p", i), "")
	}
	record := func(name string) string { return filepath.Join(p.home, "profiles", name, "gateway_service.json") }
	const were = 20
	for i := range were {
		must.Do(t, os.WriteFile(record(fmt.Sprint("p", i)), []byte(`{"env":{"A":"b"}}`), 0o600))
	}
	tr := p.strace(t, []string{"hermes-reconcile"}, "-e", "trace=fsync,syncfs,renameat")
	syncs, over := 0, 0
	for _, line := range tr.lines {
		switch {
		case strings.Contains(line, "sync"):
			syncs++
		case strings.Contains(line, "gateway_service.json") && syncs > 0:
			over++
		}
	}
	if tr.code != 0 || syncs != 1 || over != were {
		t.Errorf("code %d, %d syncs, %d records renamed after it: want 0, 1, %d\n%s", tr.code, syncs, over, were, tr.stderr)
	}
	want := map[string]string{}
	for i := range 60 {
		name := fmt.Sprint("p", i)
		want[name] = readFile(t, record(name))
		switch {
		case i < were:
		case i%3 == 0:
			must.Do(t, os.Remove(record(name)))
		case i%3 == 1:
			must.Do(t, os.Truncate(record(name), 0))
		}
	}
	must.Do(t, os.RemoveAll(p.scan)) // with the rest of /run
	must.Do(t, os.Mkdir(p.scan, 0o755))
	p.run(t, 0, "hermes-reconcile")
	for name, text := range want {
		if got := readFile(t, record(name)); got != text {
			t.Errorf("%s: %s, was %s", name, got, text)
		}
	}
}
