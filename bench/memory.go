//go:build linux

package main

import (
	"fmt"
	"os"
)

// memory measures the peak of the memory of each program: with 1 and 1,000 gateways
// that run, and with 10,000 slots that nobody supervises.
func (b *bench) memory() error {
	t := &table{header: []string{"peak memory, MB"}}
	for _, n := range []int{1, 1000, 10000} {
		live := n <= 1000
		t.header = append(t.header, count(n))
		err := b.in(live, func(p *place) error {
			if err := p.profiles(n); err != nil {
				return err
			}
			if err := p.mkdir("home", "profiles", "ours"); err != nil {
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

// peaks adds a column to t.
func (p *place) peaks(t *table, live bool) error {
	up := func() error { return p.awaitUp("p*") }
	register := p.program("hermes-svc-register", "--command", "sleep 1000000", "ours")
	unregister := p.program("hermes-svc-unregister", "ours")
	if !live {
		// Nobody would take the slot up. A dry run reads and renders all the same.
		register = p.program("hermes-svc-register", "--dry-run", "ours")
		unregister = p.program("hermes-svc-unregister", "p1")
	}
	for i, m := range []struct {
		name string
		contender
		live bool // it takes a supervisor
	}{
		{"hermes-reconcile, fresh", p.reconciling(), false},
		{"hermes-reconcile, again", contender{args: p.reconciling().args, before: when(live, up)}, false},
		{"hermes-detect", contender{args: p.program("hermes-detect").args, no: true}, false},
		{"hermes-svstat -o up", contender{args: p.program("hermes-svstat", "-o", "up").args, no: !live}, false},
		{"hermes-svstat --json", contender{args: p.program("hermes-svstat", "--json").args, no: !live}, false},
		{"hermes-svstat", contender{args: p.program("hermes-svstat").args, no: !live}, false},
		{"hermes-svc-register NAME", register, false},
		{"hermes-svc-unregister NAME", unregister, false},
		{"hermes-svc stop --wait --all", p.program("hermes-svc", "stop", "--wait", "--timeout", limit, "--all"), true},
		{"hermes-svc start --wait --all", p.program("hermes-svc", "start", "--wait", "--timeout", limit, "--all"), true},
		{"hermes-svc-unregister --all", p.program("hermes-svc-unregister", "--timeout", limit, "--all"), false},
	} {
		if len(t.rows) <= i {
			t.row(m.name)
		}
		if m.live && !live {
			t.rows[i] = append(t.rows[i], "")
			continue
		}
		if m.before != nil {
			if err := m.before(); err != nil {
				return err
			}
		}
		mb, err := p.peak(m.contender)
		if err != nil {
			return err
		}
		t.rows[i] = append(t.rows[i], fmt.Sprintf("%.1f", mb))
	}
	_, err := os.Stat(p.slot("p0"))
	if !os.IsNotExist(err) {
		return fmt.Errorf("%s: it is still there: %w", p.slot("p0"), err)
	}
	return nil
}

func when(is bool, f func() error) func() error {
	if is {
		return f
	}
	return nil
}
