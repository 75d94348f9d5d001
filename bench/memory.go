//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// memory measures the peak memory of each program: with 1 and 1,000 running gateways, and with
// 10,000 slots without supervisors.
func (b *bench) memory() error {
	t := &table{header: []string{"peak memory, MB"}}
	for _, n := range []int{1, 1000, 10000} {
		live := n <= 1000
		t.header = append(t.header, count(n))
		err := b.in(live, func(p *place) error {
			if err := p.profiles(n); err != nil {
				return err
			}
			return p.peaks(t, live)
		})
		if err != nil {
			return fmt.Errorf("%d gateways: %w", n, err)
		}
	}
	t.header[len(t.header)-1] += ", not supervised"
	b.add("memory", t)
	return nil
}

// A row is a line of the table of memory.
type row struct {
	name string
	peak func() (float64, error) // nil if it cannot be measured
}

// peaks adds a column to t.
func (p *place) peaks(t *table, live bool) error {
	if err := p.mkdir("home", "profiles", "ours"); err != nil {
		return err
	}
	rows := slices.Concat(p.answers(live), p.followers(live), p.fences(), p.changes(live), p.bootFollower())
	for i, m := range rows {
		if len(t.rows) <= i {
			t.row(m.name)
		}
		cell := ""
		if m.peak != nil {
			mb, err := m.peak()
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			cell = fmt.Sprintf("%.1f", mb)
			p.bench.keep(m.name, p.count, mb)
		}
		t.rows[i] = append(t.rows[i], cell)
	}
	return nil
}

// keep records the value for a goal: the maximum, and the program it belongs to.
func (b *bench) keep(name string, profiles int, mb float64) {
	var g goal
	switch {
	case profiles == 10*thousand:
		g = memoryAll
	case profiles == thousand && strings.HasPrefix(name, "hermes-reconcile --follow"):
		g = followReconcile
	case profiles == thousand && strings.HasPrefix(name, "hermes-svstat --follow"):
		g = followStatus
	default:
		return
	}
	if mb > b.values[g].x {
		b.values[g] = value{mb, name}
	}
}

// answers are the programs that change nothing, except hermes-reconcile, which makes what they
// look at.
func (p *place) answers(live bool) []row {
	again, detect := p.reconciling(), p.program("hermes-detect")
	detect.no = true
	if live {
		again.before = func() error { return p.awaitUp("p*") }
	}
	svstat := func(args ...string) func() (float64, error) {
		c := p.program("hermes-svstat", args...)
		c.no = !live
		return p.once(c)
	}
	return []row{
		{"hermes-reconcile, fresh", p.once(p.reconciling())},
		{"hermes-reconcile, again", p.once(again)},
		{"hermes-detect", p.once(detect)},
		{"hermes-svstat -o up", svstat("-o", "up")},
		{"hermes-svstat --json", svstat("--json")},
		{"hermes-svstat", svstat()},
	}
}

// changes are the programs that change something. In the end no slot is left.
func (p *place) changes(live bool) []row {
	register := p.program("hermes-svc-register", "--command", "sleep 1000000", "ours")
	unregister := p.program("hermes-svc-unregister", "ours")
	svc := func(command string) func() (float64, error) {
		if !live {
			return nil // it requires a supervisor
		}
		return p.once(p.program("hermes-svc", command, "--wait", "--timeout", limit, "--all"))
	}
	if !live {
		// Nothing would take the slot up. A dry run reads and renders all the same.
		register = p.program("hermes-svc-register", "--dry-run", "ours")
		unregister = p.program("hermes-svc-unregister", "p1")
	}
	all := p.once(p.program("hermes-svc-unregister", "--timeout", limit, "--all"))
	return []row{
		{"hermes-svc-register NAME", p.once(register)},
		{"hermes-svc-unregister NAME", p.once(unregister)},
		{"hermes-svc stop --wait --all", svc("stop")},
		{"hermes-svc start --wait --all", svc("start")},
		{"hermes-svc-unregister --all", func() (float64, error) {
			mb, err := all()
			if _, e := os.Stat(p.slot("p0")); err == nil && !os.IsNotExist(e) {
				err = fmt.Errorf("%s: it is still there: %w", p.slot("p0"), e)
			}
			return mb, err
		}},
	}
}

// once returns the peak of a run of c from its start to its end.
func (p *place) once(c contender) func() (float64, error) {
	return func() (float64, error) {
		if c.before != nil {
			if err := c.before(); err != nil {
				return 0, err
			}
		}
		return p.peak(c)
	}
}
