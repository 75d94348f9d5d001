//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
)

// live measures in a growing supervision tree: status, and one gateway more.
func (b *bench) live() error {
	status := newStatusTable()
	lifecycle := &table{header: []string{"gateways besides", "register, ms", "against s6's tools", "unregister, ms", "against s6's tools"}}
	err := b.in(true, func(p *place) error {
		if err := p.prepare(); err != nil {
			return err
		}
		for _, n := range []int{1, 10, 100, 1000} {
			if err := p.grow(n); err != nil {
				return err
			}
			if err := p.status(status, b.rounds(n), count(n)); err != nil {
				return err
			}
			if err := p.lifecycle(lifecycle); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	// 10,000 gateways are 40,000 processes. Their slots alone are read in the same way, but
	// the answer is that they are not supervised.
	err = b.in(false, func(p *place) error {
		if err := p.profiles(10000); err != nil {
			return err
		}
		if _, err := p.run(p.reconciling()); err != nil {
			return err
		}
		return p.status(status, min(b.runs, 3), "10,000, not supervised")
	})
	if err != nil {
		return err
	}
	b.add("status", status)
	b.add("lifecycle", lifecycle)
	return nil
}

func newStatusTable() *table {
	return &table{header: []string{"gateways", "loop, ms", "the loop against -o up", "against --json", "against the table", "--json against -o up", "table against -o up", "-o up against C", "the loop against C for --json, on all processors"}}
}

// statusLoop is the alternative without hermes-svstat.
const statusLoop = `for d in "$0"/gateway-*; do s6-svstat -o up "$d" || :; done`

// status measures hermes-svstat of all gateways.
func (p *place) status(t *table, runs int, what string) error {
	svstat := func(args ...string) contender {
		c := p.program("hermes-svstat", args...)
		c.no = p.tree == nil
		return c
	}
	times, err := p.contend(runs, warmed(contender{args: []string{"sh", "-c", statusLoop, p.path("scan")}},
		svstat("-o", "up"), svstat("--json"), svstat(),
		contender{args: []string{p.bench.tool("status"), p.path("scan")}},
		contender{args: []string{p.bench.tool("status"), p.path("scan"), p.path("home/profiles"), strconv.Itoa(runtime.NumCPU())}})...)
	if err != nil {
		return err
	}
	loop, o, json, table, c, cJSON := times[0], times[1], times[2], times[3], times[4], times[5]
	t.row(what, figure(loop.median()), loop.over(o).ratio(), loop.over(json).ratio(), loop.over(table).ratio(),
		json.over(o).ratio(), table.over(o).ratio(), o.over(c).ratio(), loop.over(cJSON).ratio())
	if p.count == thousand {
		p.bench.measured(loopUp, loop.over(o).median())
		p.bench.measured(loopJSON, loop.over(json).median())
		p.bench.measured(loopTable, loop.over(table).median())
	}
	return nil
}

// prepare makes what lifecycle registers: directories for a record and a fence, but no
// profiles, because reconcile would register those; and a service directory with the same
// scripts as ours, and nothing that s6-supervise makes by itself.
func (p *place) prepare() error {
	if err := errors.Join(p.mkdir("home", "profiles", "ours"), p.mkdir("home", "profiles", "bare")); err != nil {
		return err
	}
	for _, c := range []contender{
		p.program("hermes-svc-register", "--down", "--command", "sleep 1000000", "bare"),
		{args: []string{"sh", "-ec", `mkdir -p "$1/log"; cp -p "$0/type" "$0/run" "$0/finish" "$1"; cp -p "$0/log/run" "$1/log"`,
			p.slot("bare"), p.path("prepared")}},
		p.program("hermes-svc-unregister", "bare"),
	} {
		if _, err := p.run(c); err != nil {
			return err
		}
	}
	return nil
}

// What s6's own tools do for the same, in the fastest way.
const (
	bareRegister = `cp -R "$0" "$1"
s6-svscanctl -a "${1%/*}"
until s6-svok "$1" && s6-svok "$1/log"; do :; done`
	bareUnregister = `gone=${1%/*}/.bare
s6-svc -wD -d "$1"
mv "$1" "$gone"
s6-svscanctl -an "${1%/*}"
while s6-svok "$gone" || s6-svok "$gone/log"; do :; done
rm -r "$gone"`
)

// lifecycle measures registering and unregistering a gateway in addition to the others.
func (p *place) lifecycle(t *table) error {
	sh := func(script string) contender {
		return contender{args: []string{"sh", "-ec", script, p.path("prepared"), p.slot("bare")}}
	}
	unregister, bare := p.program("hermes-svc-unregister", "ours"), sh(bareUnregister)
	// What is stopped must be up first.
	unregister.before = func() error { return p.awaitUp("ours") }
	bare.before = func() error { return p.awaitUp("bare") }
	times, err := p.contend(p.bench.runs,
		p.program("hermes-svc-register", "--command", "sleep 1000000", "ours"), unregister, sh(bareRegister), bare)
	if err != nil {
		return fmt.Errorf("with %d gateways: %w", p.count, err)
	}
	t.row(count(p.count), figure(times[0].median()), times[0].over(times[2]).ratio(),
		figure(times[1].median()), times[1].over(times[3]).ratio())
	if p.count == thousand {
		p.bench.measured(registerAmong, times[0].over(times[2]).median())
	}
	return nil
}
