//go:build linux

package reconcile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/must"
)

func TestSelection(t *testing.T) {
	for _, c := range []struct{ profiles, shard, in, out string }{
		{"", "", "default coder x", ""},
		{"none", "", "", "default coder none"},
		{"coder", "", "coder", "default coder2"},
		{"a*, default", "", "a ab default", "b"},
		{"team-?-[xy]", "", "team-1-x team-2-y", "team-10-x team-1-z"},
		{"none,coder", "", "none coder", "x"},
		{"", "1/1", "default coder x", ""},
	} {
		s, err := ParseSelection(c.profiles, c.shard, false)
		must.Do(t, err)
		for _, name := range strings.Fields(c.in) {
			if !s.Has(name) {
				t.Errorf("%q %q lacks %s", c.profiles, c.shard, name)
			}
		}
		for _, name := range strings.Fields(c.out) {
			if s.Has(name) {
				t.Errorf("%q %q has %s", c.profiles, c.shard, name)
			}
		}
	}
	for _, bad := range [][2]string{
		{",", ""}, {"a,,b", ""}, {"[", ""}, {" ", ""},
		{"", "0/1"}, {"", "2/1"}, {"", "1"}, {"", "1/0"}, {"", "/"}, {"", "-1/2"}, {"", "1/2/3"}, {"", "a/b"}, {"", "1/4294967296"},
	} {
		if _, err := ParseSelection(bad[0], bad[1], false); fail.CodeOf(err) != fail.Usage {
			t.Errorf("%q %q: %v", bad[0], bad[1], err)
		}
	}
}

// TestShards: every profile is in exactly one shard, and no shard is empty.
func TestShards(t *testing.T) {
	for n := 1; n <= 7; n++ {
		sizes := make([]int, n)
		for i := range 1000 {
			name := fmt.Sprintf("p%d", i)
			had := 0
			for k := range n {
				s, err := ParseSelection("", fmt.Sprintf("%d/%d", k+1, n), false)
				must.Do(t, err)
				if s.Has(name) {
					had++
					sizes[k]++
				}
			}
			if had != 1 {
				t.Fatalf("%s is in %d of %d shards", name, had, n)
			}
		}
		for k, size := range sizes {
			if size < 1000/n*3/4 {
				t.Errorf("shard %d/%d has %d of 1000", k+1, n, size)
			}
		}
	}
}

// TestFindContainer: processes that are gone or irrelevant are passed over. A process that
// cannot be read for another reason could be the one that counts.
func TestFindContainer(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, cmdline string) string {
		dir := filepath.Join(proc, pid)
		must.Do(t, os.MkdirAll(dir, 0o755))
		must.Do(t, os.WriteFile(filepath.Join(dir, "cmdline"), []byte(cmdline), 0o644))
		return dir
	}
	find := func(want Kind, fails bool) {
		t.Helper()
		if got, err := findContainer(proc); got.Kind != want || (err != nil) != fails {
			t.Errorf("%v, %v; want %v, an error: %v", got, err, want, fails)
		}
	}
	find(Other, false)
	process("1", "s6-svscan\x00/run/service\x00")
	must.Do(t, os.Mkdir(filepath.Join(proc, "2"), 0o755)) // gone since
	find(Other, false)
	process("9", "/bin/sh\x00-e\x00"+rcInit+"\x00top\x00hermes\x00dashboard\x00")
	find(Server, false)
	unreadable := process("3", "")
	must.Do(t, os.Remove(filepath.Join(unreadable, "cmdline")), os.Mkdir(filepath.Join(unreadable, "cmdline"), 0o755))
	find(Other, true)
}

func TestClassify(t *testing.T) {
	gateway := Container{Gateway, "default"}
	coder := Container{Gateway, "coder"}
	server := Container{Kind: Server}
	for command, want := range map[string]Container{
		"":                                      {},
		"gateway run":                           gateway,
		"hermes gateway run":                    gateway,
		"gateway run --replace":                 gateway,
		"gateway -v run":                        gateway,
		"-p default gateway run":                gateway,
		"-p coder gateway run":                  coder,
		"--profile coder gateway run":           coder,
		"--profile=coder gateway run":           coder,
		"hermes --profile=coder gateway run -v": coder,
		"gateway -p coder run":                  coder,
		"gateway run --profile coder":           coder,
		"gateway run -p":                        {Gateway, ""},
		"-p a -p coder gateway run":             coder,
		"gateway run --no-supervise":            {Unsupervised, "default"},
		"-p coder gateway run --no-supervise":   {Unsupervised, "coder"},
		"gateway run -- --no-supervise -p x":    gateway,
		"dashboard":                             server,
		"--profile coder dashboard":             server,
		"--profile=coder serve":                 server,
		"--verbose dashboard":                   server,
		"serve --port 9119":                     server,
		"acp":                                   server,
		"mcp serve":                             server,
		"/opt/hermes/docker/main-wrapper.sh dashboard --port 9119":      server,
		"/usr/bin/env hermes dashboard":                                 server,
		"/init hermes gateway run":                                      gateway,
		"/init /opt/hermes/docker/main-wrapper.sh -p coder gateway run": coder,
		"gateway":        {},
		"gateway start":  {},
		"run gateway":    {},
		"chat dashboard": {},
		"bash":           {},
		"hermes":         {},
		"-p":             {},
		"-p dashboard":   {},
		"-- dashboard":   {},
		"sleep infinity": {},
	} {
		if got := Classify(strings.Fields(command)); got != want {
			t.Errorf("%q is %v, want %v", command, got, want)
		}
	}
}

func TestContainerCommand(t *testing.T) {
	for cmdline, want := range map[string]string{
		"/bin/sh\x00-e\x00" + rcInit + "\x00top\x00gateway\x00run\x00": "gateway run",
		rcInit + "\x00top\x00":                           "",
		rcInit + "\x00":                                  "",
		rcInit + "\x00top\x00a b\x00\x00":                "a b ",
		"vi\x00a\x00b\x00" + rcInit + "\x00top\x00x\x00": "not it",
		"":              "not it",
		"s6-svscan\x00": "not it",
	} {
		command, ok := containerCommand([]byte(cmdline))
		got := strings.Join(command, " ")
		if !ok {
			got = "not it"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", cmdline, got, want)
		}
	}
}

// TestLine: a state that the account wrote makes neither a line of its own nor a long one.
func TestLine(t *testing.T) {
	for prior, want := range map[string]string{
		"":                                  "None",
		"running":                           "running",
		"a\nprofile=x action=removed":       "a?profile=x?action=removed",
		"\x1b[31m\u202e":                    "?[31m?",
		strings.Repeat("x", 1000):           strings.Repeat("x", 255),
		strings.Repeat("x", 254) + "\u00e9": strings.Repeat("x", 254) + "?",
	} {
		if got := (Result{Profile: "p", Prior: prior, Action: Started}).Line(); got != "profile=p prior_state="+want+" action=started" {
			t.Errorf("%q", got)
		}
	}
}
