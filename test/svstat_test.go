//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/s6/s6test"
)

// states are services, each in a state that a service can be in: its files, and the command
// that brings it into that state once it is supervised (words after the service's path).
var states = []struct {
	name  string
	files map[string]string
	steps [][]string
	// settled is a line of s6-svstat -o up,wantedup,ready,paused,signum.
	settled string
}{
	{"never-started", map[string]string{"run": "exec sleep 100000", "down": ""}, nil, "false false false false -1"},
	{"up", map[string]string{"run": "exec sleep 100000"}, nil, "true true false false -1"},
	{"ready", map[string]string{"run": "echo >&3; exec sleep 100000", "notification-fd": "3"}, nil, "true true true false -1"},
	{"paused", map[string]string{"run": "exec sleep 100000"}, [][]string{{"s6-svc", "-p"}}, "true true false true -1"},
	{"wanted-down-while-up", map[string]string{"run": "trap : TERM; while :; do sleep 0.1; done"}, [][]string{{"s6-svc", "-d"}}, "true false false false -1"},
	{"once", map[string]string{"run": "exec sleep 100000", "down": ""}, [][]string{{"s6-svc", "-o"}}, "true false false false -1"},
	{"down-by-exit", map[string]string{"run": "exit 42", "finish": "exit 125"}, nil, "false false false false -1"},
	{"down-by-exit-0", map[string]string{"run": "exit 0", "finish": "exit 125"}, nil, "false false false false -1"},
	{"down-by-order", map[string]string{"run": "exec sleep 100000"}, [][]string{{"s6-svc", "-wu", "-u"}, {"s6-svc", "-wD", "-d"}}, "false false false false 15"},
	{"finishing", map[string]string{"run": "exit 3", "finish": "exec sleep 100000", "timeout-finish": "0"}, nil, "false true false false -1"},
	{"finishing-killed", map[string]string{"run": "kill -9 $$", "finish": "exec sleep 100000", "timeout-finish": "0"}, nil, "false true false false 9"},
	// s6-supervise waits 60 s if run cannot be spawned.
	{"wanted-up-while-down", map[string]string{"run": ""}, nil, "false true false false -1"},
}

// TestStatusAgreesWithS6 has hermes-svstat and s6-svstat look at the same services, in every
// possible state, and compares all fields byte for byte.
func TestStatusAgreesWithS6(t *testing.T) {
	p := newPlace(t)
	for _, s := range states {
		writeService(t, filepath.Join(p.scan, s.name), s.files)
	}
	// A death by each signal, including real-time ones.
	var signals []string
	for n := 1; n <= 64; n++ {
		if n == 17 || n == 18 || n >= 19 && n <= 23 || n == 28 || n == 32 || n == 33 {
			continue // ignored or stopping by default, or the C library's own
		}
		name := fmt.Sprintf("signal-%d", n)
		writeService(t, filepath.Join(p.scan, name), map[string]string{"run": fmt.Sprintf("ulimit -c 0; kill -%d $$; exec sleep 100000", n), "finish": "exit 125"})
		signals = append(signals, name)
	}
	// If nohup(1) or a shell's & makes us ignore a signal, all that we start would ignore it
	// as well. A signal that is caught is not ignored after exec.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP, syscall.SIGINT)
	defer signal.Stop(caught)
	tree := s6test.Start(t, p.scan, p.env(), s6test.MaxServices(200)...)
	defer tree.Abort() // some of the services do not stop
	fields := fieldsOfS6(t, p)

	for _, s := range states {
		dir := filepath.Join(p.scan, s.name)
		s6test.Await(t, func() error { return exec.Command("s6-svstat", dir).Run() })
		for _, step := range s.steps {
			if out, err := exec.Command(step[0], append(step[1:], dir)...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %v: %s", s.name, step, err, out)
			}
		}
		await(t, dir, "up,wantedup,ready,paused,signum", s.settled)
		compare(t, p, dir, fields)
	}
	for _, name := range signals {
		dir := filepath.Join(p.scan, name)
		await(t, dir, "up,wantedup,signum", "false false "+strings.TrimPrefix(name, "signal-"))
		compare(t, p, dir, fields)
	}
}

// TestUnsupervisedAgreesWithS6: if s6-svstat has nothing to print, -o prints nothing, both
// before a supervisor was there and after it died.
func TestUnsupervisedAgreesWithS6(t *testing.T) {
	p := newPlace(t)
	dir := filepath.Join(p.scan, "service")
	writeService(t, dir, map[string]string{"run": "exec sleep 100000"})
	check := func() {
		t.Helper()
		theirs, err := exec.Command("s6-svstat", "-o", "up", dir).Output()
		if err == nil || len(theirs) > 0 {
			t.Fatalf("s6-svstat printed %q, %v", theirs, err)
		}
		if ours := p.run(t, 1, "hermes-svstat", "-o", "up", dir); ours != "" {
			t.Errorf("hermes-svstat printed %q", ours)
		}
	}
	check()
	tree := s6test.Start(t, p.scan, p.env())
	await(t, dir, "up", "true")
	must.Do(t, tree.Stop())
	check()
}

// TestStatusOfUnknownSize replaces a status file with one of a size that no present s6 writes,
// and has hermes-svstat ask s6-svstat. That is a stand-in here, because the future s6 that
// would write such a file does not exist.
func TestStatusOfUnknownSize(t *testing.T) {
	p := newPlace(t)
	dir := filepath.Join(p.scan, "service")
	writeService(t, dir, map[string]string{"run": "exec sleep 100000"})
	s6test.Start(t, p.scan, p.env())
	await(t, dir, "up", "true")
	must.Do(t, os.WriteFile(filepath.Join(dir, "supervise/status"), make([]byte, 51), 0o644))
	bin := t.TempDir()
	answer := "false true false false -1 -1 9 @400000006b03870926f0e556 @400000006b03870926a4751e"
	script := "#!/bin/sh\necho \"$*\" >" + bin + "/asked\necho " + answer + "\n"
	must.Do(t, os.WriteFile(filepath.Join(bin, "s6-svstat"), []byte(script), 0o755))
	got := p.run(t, 1, "hermes-svstat", "--s6-bindir", bin, "-o", "up,wantedup,ready,paused,pid,exitcode,signum,updownsince,readysince,signal", dir)
	if want := answer + " SIGKILL\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if asked, _ := os.ReadFile(bin + "/asked"); !strings.HasSuffix(string(asked), " "+dir+"\n") {
		t.Errorf("s6-svstat was asked %q", asked)
	}
}

func writeService(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	must.Do(t, os.Mkdir(dir, 0o755))
	for name, text := range files {
		if (name == "run" || name == "finish") && text != "" {
			text = "#!/bin/sh\n" + text + "\n"
		}
		mode := os.FileMode(0o755)
		if text == "" {
			mode = 0o644
		}
		must.Do(t, os.WriteFile(filepath.Join(dir, name), []byte(text), mode))
	}
}

// await waits until s6-svstat -o fields prints want for dir.
func await(t *testing.T, dir, fields, want string) {
	t.Helper()
	awaitOutput(t, want+"\n", func() string {
		out, _ := exec.Command("s6-svstat", "-o", fields, dir).CombinedOutput()
		return string(out)
	})
}

// fieldsOfS6 returns all fields that the installed s6-svstat knows; pgid came with 2.13.
func fieldsOfS6(t *testing.T, p place) string {
	t.Helper()
	usage, _ := exec.Command("s6-svstat").CombinedOutput()
	var fields []string
	for _, f := range s6.Fields {
		if strings.Contains(string(usage), ","+f+",") || strings.Contains(string(usage), " "+f+",") || strings.Contains(string(usage), ","+f+" ") {
			fields = append(fields, f)
		}
	}
	if len(fields) < len(s6.Fields)-1 {
		t.Fatalf("s6-svstat knows only %v: %s", fields, usage)
	}
	return strings.Join(fields, ",")
}

// compare has both look at dir. updownfor and readyfor count up, each program at its own time.
// So the two agree if they do when nothing counted up between a look of s6-svstat before ours
// and one after it.
func compare(t *testing.T, p place, dir, fields string) {
	t.Helper()
	theirs := func() string {
		out, err := exec.Command("s6-svstat", "-o", fields, dir).Output()
		if err != nil {
			t.Fatalf("s6-svstat: %v", err)
		}
		return string(out)
	}
	for range 20 {
		before := theirs()
		ours, _ := p.command("hermes-svstat", "-o", fields, dir).Output() // exits 1 if the service is down
		if after := theirs(); before != after {
			continue
		}
		if string(ours) != before {
			t.Errorf("%s: %s:\n ours   %s theirs %s", filepath.Base(dir), fields, ours, before)
		}
		return
	}
	t.Errorf("%s: never the same twice", filepath.Base(dir))
}
