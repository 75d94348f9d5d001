//go:build linux

package svstat

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fence"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
)

// gatewayFacts returns the facts of a supervised gateway, modified by change.
func gatewayFacts(change func(*facts)) *facts {
	f := &facts{Asked: Asked{Name: "coder", Gateway: true}, died: true}
	f.status = s6.Status{Supervised: true, Known: true, Started: true, WantedUp: true}
	change(f)
	return f
}

func exited(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }

// TestDerive: the State that each set of facts leads to. It compares only what one line of the
// table, and the lines below it, show.
func TestDerive(t *testing.T) {
	for name, c := range map[string]struct {
		change        func(*facts)
		line, trouble string
	}{
		"up":                    {func(f *facts) { f.status.PID = 7 }, "up green 7 up 0 -", ""},
		"up and dying":          {func(f *facts) { f.status.PID = 7; f.deaths = 2 }, "up green 7 up 2 -", "restarted again and again, died 2 times in the last minute"},
		"up and died once":      {func(f *facts) { f.status.PID = 7; f.deaths = 1 }, "up green 7 up 1 -", ""},
		"never started":         {func(f *facts) { f.status.WantedUp, f.died = false, false }, "not started yellow - down 0 -", ""},
		"never started, wanted": {func(f *facts) { f.died = false }, "not started red - up 0 -", "not started"},
		"exited 0 at its start": {func(f *facts) { f.status.WantedUp = false }, "down yellow - down 0 exit 0", ""},
		"refused": {func(f *facts) {
			f.status.WantedUp, f.status.Wait, f.self.ExitReason = false, exited(78), "no\ntoken"
		}, "down yellow - down 0 exit 78", "exit 78, refused its configuration, not restarted: no token"},
		"asks to be restarted": {func(f *facts) { f.status.Wait = exited(75) }, "down red - up 0 exit 75", "exit 75, asked to be restarted"},
		"crashed":              {func(f *facts) { f.status.Wait = 9; f.deaths = 1 }, "down red - up 1 SIGKILL", "SIGKILL, being restarted"},
		"crashed for good":     {func(f *facts) { f.status.WantedUp = false; f.status.Wait = exited(1) }, "down yellow - down 0 exit 1", "exit 1, not restarted"},
		"stopped":              {func(f *facts) { f.status.WantedUp = false; f.status.Wait = 15 }, "down yellow - down 0 SIGTERM", ""},
		"stopped, to run": {func(f *facts) {
			f.status.WantedUp, f.status.Wait, f.desired = false, 15, profile.Running
		}, "down yellow - down 0 SIGTERM", "SIGTERM, not restarted"},
		"crashed, to be stopped": {func(f *facts) {
			f.status.WantedUp, f.status.Wait, f.desired = false, exited(1), profile.Stopped
		}, "down yellow - down 0 exit 1", ""},
		"could not start": {func(f *facts) {
			f.status.PID, f.believed, f.self = 7, true, profile.Self{State: "startup_failed", ExitReason: "no\x1b\ntoken"}
		}, "up green 7 up 0 -", "says that it could not start: no token"},
		"waits": {func(f *facts) {
			f.status.PID, f.status.Finishing, f.status.Wait, f.next = 8, true, exited(1), 4
		}, "backing off red - up 0 exit 1", "exit 1, backing off, next start in 4 s"},
		"finishing":       {func(f *facts) { f.status.PID, f.status.Finishing, f.died = 8, true, false }, "finishing red - up 0 exit 0", "exit 0, being restarted"},
		"unsupervised":    {func(f *facts) { f.status.Supervised = false; f.status.PID = 7 }, "unsupervised red - - 0 -", ""},
		"served":          {func(f *facts) { f.served = true; f.status.WantedUp = false; f.desired = profile.Running }, "served by default green - down 0 exit 0", ""},
		"another service": {func(f *facts) { f.Gateway = false; f.status.Wait = exited(1) }, "down red - up 0 exit 1", ""},
	} {
		s := derive(gatewayFacts(c.change))
		colour := map[string]string{green: "green", yellow: "yellow", red: "red"}[s.colour()]
		line := strings.Join([]string{s.Word, colour, s.pid(), s.wanted(), string(rune('0' + s.Deaths)), s.lastExit()}, " ")
		if line != c.line {
			t.Errorf("%s: %q, want %q", name, line, c.line)
		}
		if !slices.Contains(words, s.Word) {
			t.Errorf("%s: metrics do not know %q", name, s.Word)
		}
		if s.Trouble != c.trouble {
			t.Errorf("%s: trouble %q, want %q", name, s.Trouble, c.trouble)
		}
		if s.Works() != (c.line[:3] == "up " || s.Served) || s.Up != (s.PID != 0) || s.WantedUp && !s.Supervised {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestWanted: what is to be up, and what works.
func TestWanted(t *testing.T) {
	for name, c := range map[string]struct {
		change         func(*facts)
		wanted, serves bool
	}{
		"starting":            {func(f *facts) { f.status.PID = 7 }, true, false},
		"an earlier one said": {func(f *facts) { f.status.PID = 7; f.self.State = profile.Running }, true, false},
		"runs": {func(f *facts) {
			f.status.PID, f.believed, f.self.State = 7, true, profile.Running
		}, true, true},
		"degraded": {func(f *facts) { f.status.PID, f.believed, f.self.State = 7, true, "degraded" }, true, true},
		"draining": {func(f *facts) { f.status.PID, f.believed, f.self.State = 7, true, "draining" }, true, false},
		"stands by": {func(f *facts) {
			f.status.PID, f.standing = 7, fence.StandsBy
		}, true, true},
		"served":                {func(f *facts) { f.served, f.status.WantedUp = true, false }, false, true},
		"given up":              {func(f *facts) { f.status.WantedUp = false; f.normallyUp = true }, true, false},
		"given up, stopped":     {func(f *facts) { f.status.WantedUp, f.normallyUp, f.desired = false, true, profile.Stopped }, false, false},
		"down":                  {func(f *facts) { f.status.WantedUp = false; f.desired = profile.Running }, false, false},
		"unsupervised":          {func(f *facts) { f.status.Supervised, f.normallyUp = false, true }, true, false},
		"unsupervised, to wait": {func(f *facts) { f.status.Supervised = false }, false, false},
	} {
		s := derive(gatewayFacts(c.change))
		if s.Wanted() != c.wanted || s.Serves() != c.serves {
			t.Errorf("%s: wanted %v, serves %v", name, s.Wanted(), s.Serves())
		}
	}
}

// TestAccount: how much of what a gateway says is shown.
func TestAccount(t *testing.T) {
	many := &profile.Self{State: profile.Running, ActiveAgents: 1e300}
	for i := range 10000 {
		p := profile.Platform{Name: fmt.Sprintf("p%04d", i), State: "up\x1b[2J\n"}
		if i >= 9000 {
			p.Complaint = strings.Repeat("\u202e long", 1000)
		}
		many.Platforms = append(many.Platforms, p)
	}
	a := accountOf(many)
	if len(a.Platforms) != maxPlatforms || len(a.Attention) != maxPlatforms+1 || a.ActiveAgents != -1 {
		t.Errorf("%d platforms, %d complaints, %d agents", len(a.Platforms), len(a.Attention), a.ActiveAgents)
	}
	if a.Platforms["p9000"] != "up [2J" || a.Attention[maxPlatforms] != "9500 more platforms are not shown" {
		t.Errorf("%q, %q", a.Platforms["p9000"], a.Attention[maxPlatforms])
	}
	for _, text := range a.Attention {
		if len(text) > profile.MaxWords || text != cli.Printable(text) {
			t.Errorf("%q", text)
		}
	}
	s := State{Says: a}
	if lines := s.complaints(); len(lines) != maxLines+1 || lines[maxLines] != "and 496 more; --json has all" {
		t.Errorf("%d lines: %q", len(lines), lines[len(lines)-1])
	}
}

// TestUndated: a status from before 1970 has no date, and no time span is shown.
func TestUndated(t *testing.T) {
	s := derive(gatewayFacts(func(*facts) {}))
	if !s.Since.IsZero() || s.Seconds != 0 || s.span() != "-" {
		t.Errorf("since %v, for %d s, shown as %q", s.Since, s.Seconds, s.span())
	}
}

func TestSpan(t *testing.T) {
	for seconds, want := range map[uint64]string{
		0: "0s", 59: "59s", 60: "1m0s", 3661: "1h1m", 90000: "1d1h", 1 << 40: "?",
	} {
		if got := span(seconds); got != want {
			t.Errorf("%d: %q, want %q", seconds, got, want)
		}
	}
}
