//go:build linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// TestLargeRecords reconciles profiles that share one record of a megabyte by hard
// links, which costs the account that megabyte: it costs us a few, not a few for each.
func TestLargeRecords(t *testing.T) {
	const profiles, most = 40, 120 << 10 // KiB; the race detector needs most of it
	p := newPlace(t)
	s6test.Start(t, p.scan, p.env())
	var env []string
	for i := range 8 {
		env = append(env, fmt.Sprintf(`"V%d":"%s"`, i, strings.Repeat("x", 120<<10)))
	}
	record := filepath.Join(p.home, "record")
	if err := os.WriteFile(record, []byte(`{"env":{`+strings.Join(env, ",")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range profiles {
		name := fmt.Sprint("p", i)
		p.addProfile(t, name, "")
		if err := os.Link(record, filepath.Join(p.home, "profiles", name, "gateway_service.json")); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"hermes-reconcile", "--dry-run"}, {"hermes-reconcile", "--profiles", "p1,p2"}, {"hermes-svc-register", "--down", "coder"}} {
		cmd := p.command(args[0], args[1:]...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%.2000s", args, err, out)
		}
		if rss := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; rss > most {
			t.Errorf("%v: %d KiB were in memory, more than %d", args, rss, most)
		} else {
			t.Logf("%v: %d KiB", args, rss)
		}
	}
}
