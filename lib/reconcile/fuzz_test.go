//go:build linux

package reconcile

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/must"
)

// FuzzContainer: a process may have any command line, and a container may be started with any
// command.
func FuzzContainer(f *testing.F) {
	for _, s := range []string{"", "\x00", rcInit, rcInit + "\x00top\x00", "/bin/sh\x00-e\x00" + rcInit + "\x00top\x00hermes\x00gateway\x00run\x00",
		"a\x00b\x00c\x00" + rcInit, rcInit + "\x00" + rcInit + "\x00dashboard", "gateway\x00run", "-p\x00dashboard", "--profile=x\x00gateway\x00run\x00--no-supervise", "gateway\x00run\x00-p", "--\x00serve", "-p\x00x\x00dashboard\x00", "hermes\x00-v\x00/x\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, cmdline []byte) {
		command, ok := containerCommand(cmdline)
		if !ok && command != nil {
			t.Errorf("%q: %q, and not", cmdline, command)
		}
		if again, _ := containerCommand(cmdline); !slices.Equal(again, command) || Classify(again) != Classify(command) {
			t.Errorf("%q: %q, then %q", cmdline, command, again)
		}
		if ok && !strings.Contains("\x00"+string(cmdline)+"\x00", "\x00"+rcInit+"\x00") {
			t.Errorf("%q: %q", cmdline, command)
		}
		// The same bytes as a container's command.
		args := strings.Split(string(cmdline), "\x00")
		whole := "/bin/sh\x00-e\x00" + rcInit + "\x00top\x00" + strings.Join(args, "\x00") + "\x00"
		command, ok = containerCommand([]byte(whole))
		if !ok || !slices.Equal(command, args) {
			t.Errorf("%q: %q, %v", whole, command, ok)
		}
		// Programs that lead to hermes make no difference, nor do words after its subcommand.
		kind := Classify(args)
		for _, also := range [][]string{append([]string{"hermes"}, args...), append([]string{"/usr/bin/env", "hermes"}, args...)} {
			if got := Classify(also); got != kind {
				t.Errorf("%q is %v, %q %v", args, kind, also, got)
			}
		}
		if kind == (Container{}) {
			return
		}
		if got := Classify(append(slices.Clone(args), "--port", "1")); got.Kind != kind.Kind {
			t.Errorf("%q is %v, with options %v", args, kind, got)
		}
		if kind.Kind != Server && !(slices.Contains(args, "gateway") && slices.Contains(args, "run")) {
			t.Errorf("%q is %v", args, kind)
		}
	})
}

// FuzzSelection: a list selects what any one of its patterns selects, as package path
// understands them (TestPatterns compares with a shell). The shards are disjoint and leave
// nothing out.
func FuzzSelection(f *testing.F) {
	for _, s := range []string{"", "none", "*", "a*,b?", "[a-c]x, \\*", "[", "a,,b", "[]a]", "[-x]", "a\\", "[^a", "*[", "[a,b]", " none", "\x80*"} {
		f.Add(s, "1/2", "ab", uint16(7))
	}
	for _, shard := range []string{"", "0/1", "2/1", "01/1", "+1/1", "1/2/3", "2147483647/2147483647", "1/4294967297"} {
		f.Add("", shard, "coder", uint16(1))
	}
	f.Fuzz(func(t *testing.T, profiles, shard, name string, n uint16) {
		s, err := ParseSelection(profiles, shard, false)
		if err != nil && (fail.CodeOf(err) != fail.Usage || strings.ContainsAny(err.Error(), "\n\x00")) {
			t.Errorf("%q %q: code %d: %v", profiles, shard, fail.CodeOf(err), err)
		}
		if err == nil && s.Has(name) != s.Has(strings.Clone(name)) {
			t.Errorf("%q %q: %q", profiles, shard, name)
		}

		all, err := ParseSelection(profiles, "", false)
		list := strings.Split(profiles, ",")
		want, valid := profiles == "", true
		for _, p := range list {
			p = strings.TrimSpace(p)
			ok, bad := false, error(nil)
			if p, bad = translate(p); bad == nil && p != "" {
				ok, bad = path.Match(p, name)
			}
			want = want || ok
			valid = valid && bad == nil && p != ""
		}
		switch {
		case profiles == "none":
			want, valid = false, true
		case profiles == "":
			valid = true
		}
		if valid != (err == nil) {
			t.Fatalf("%q: %v", profiles, err)
		}
		if !valid {
			return
		}
		if all.Has(name) != want {
			t.Errorf("%q has %q: %v", profiles, name, !want)
		}
		// Each part of the list selects a part of that.
		if part, err := ParseSelection(profiles, shard, false); err == nil && part.Has(name) && !want {
			t.Errorf("%q %q has %q", profiles, shard, name)
		}

		shards := int(n%100) + 1
		had := 0
		for i := range shards {
			part, err := ParseSelection(profiles, fmt.Sprintf("%d/%d", i+1, shards), false)
			must.Do(t, err)
			if part.Has(name) {
				had++
			}
		}
		if had != 0 != want || had > 1 {
			t.Errorf("%q has %q: %v, and %d of its %d shards do", profiles, name, want, had, shards)
		}
	})
}
