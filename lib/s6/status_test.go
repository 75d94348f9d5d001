//go:build linux

package s6

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/must"
)

// What s6-supervise wrote: 2.11.3 for a service that is up, 2.13.1 the longer form of the
// same, and one for a service whose finish is running.
const (
	status2113 = "400000006b03870926f0e556400000006b03870926a4751e0000000000000d68000004"
	status2131 = "400000006b03870926f0e556400000006b03870926a4751e0000000000000d680000000000000d67000004"
	finishing  = "400000006b03870926f0e556400000006b03870926a4751e0000000000000d68030006"
)

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct {
		hex, want string
	}{
		"2.11.3":    {status2113, "true true false 3432 3432 -1 NA"},
		"2.13.1":    {status2131, "true true false 3432 3431 -1 NA"},
		"finishing": {finishing, "false true false -1 -1 3 NA"},
	} {
		b, err := hex.DecodeString(c.hex)
		must.Do(t, err)
		st := Status{Now: taiOf(time.Unix(1795396853, 0))}
		if !st.decode(b) {
			t.Fatalf("%s: not decoded", name)
		}
		var got []string
		for _, f := range []string{"up", "wantedup", "ready", "pid", "pgid", "exitcode", "signal"} {
			got = append(got, st.Field(f))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if at := st.Since.Time().Format(time.RFC3339); at != "2026-11-23T00:20:52Z" {
			t.Errorf("%s: since %s", name, at)
		}
	}
	for _, size := range []int{0, 1, 34, 36, 42, 44, 51} {
		var st Status
		if st.decode(make([]byte, size)) {
			t.Errorf("decoded %d bytes", size)
		}
	}
}

// TestClockSetBack: a stamp in the future counts as now.
func TestClockSetBack(t *testing.T) {
	b, _ := hex.DecodeString(status2113)
	st := Status{Now: taiOf(time.Unix(1, 0))}
	if !st.decode(b) || st.Seconds() != 0 {
		t.Errorf("up for %d s", st.Seconds())
	}
}

func TestDeaths(t *testing.T) {
	now := taiOf(time.Unix(1795393253, 0))
	var b []byte
	for _, ago := range []time.Duration{2 * time.Minute, 61 * time.Second, 60 * time.Second, time.Second} {
		l := taiOf(now.Time().Add(-ago))
		b = append(append(b, l[:]...), 1, 0)
	}
	deaths := decodeDeaths(append(b, 1, 2, 3))
	if len(deaths) != 4 || deaths[0].Code != 1 {
		t.Fatalf("%+v", deaths)
	}
	if n := DeathsWithin(deaths, now, time.Minute); n != 2 {
		t.Errorf("%d deaths in the last minute, want 2", n)
	}
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	must.Do(t, os.WriteFile(dir+"/s6-svscanctl", []byte("#!/bin/sh\n"), 0o755))
	if path, err := Programs(dir).Path("s6-svscanctl"); path != dir+"/s6-svscanctl" {
		t.Errorf("%q, %v", path, err)
	}
	// A relative PATH entry must not provide a program that root runs.
	t.Setenv("PATH", ".")
	t.Chdir(dir)
	if path, err := Programs("").Path("s6-svscanctl"); err == nil {
		t.Errorf("found %q", path)
	}
}
