//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/s6"
)

const thousand = 1000

// boot measures a boot of fresh profiles under s6-svscan, until the last gateway that is to
// run is up, against C making the same slots and telling s6-svscan. Both have the same
// scripts, and a hermes-fence that the scripts find.
func (b *bench) boot() error {
	t := &table{header: []string{"profiles", "all up, ms", "C, ms", "against C"}}
	fewer := slices.DeleteFunc([]int{10, 100}, func(n int) bool { return n >= b.boots })
	for _, n := range append(fewer, b.boots) {
		err := b.in(false, func(p *place) error {
			times, err := p.boots(n)
			if err != nil {
				return err
			}
			ratio := times[0].over(times[1])
			t.row(count(n), figure(times[0].median()), figure(times[1].median()), ratio.ratio())
			if n == thousand {
				b.measured(realBoot, ratio.median())
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%d profiles: %w", n, err)
		}
	}
	b.add("boot", t)
	return nil
}

// boots boots n profiles, round after round, with hermes-reconcile and with C.
func (p *place) boots(n int) ([]sample, error) {
	p.stay = true
	template, err := p.template()
	if err != nil {
		return nil, err
	}
	if err := p.profiles(n); err != nil {
		return nil, err
	}
	ours, c := p.reconciling(), p.inC(template)
	ours.before, ours.until = p.reboot, p.awaitBoot
	c.before, c.until = p.reboot, p.awaitBoot
	rounds := p.bench.rounds(n)
	if n >= thousand {
		rounds = min(rounds, 5) // each round is four thousand processes, twice
	}
	times, err := p.contend(rounds, ours, c)
	return times, errors.Join(err, p.halt())
}

// halt ends the tree, if there is one, with all that runs in it.
func (p *place) halt() error {
	if p.tree == nil {
		return nil
	}
	err := p.tree.Stop()
	p.tree = nil
	return err
}

// reboot makes what a boot finds: s6-svscan, with nothing to supervise.
func (p *place) reboot() error {
	if err := errors.Join(p.halt(), p.empty()); err != nil {
		return err
	}
	return p.supervise()
}

// awaitBoot waits until the last of the gateways that are to run is up. It looks at one
// gateway at a time, so that looking does not affect the measurement.
func (p *place) awaitBoot(ctx context.Context) error {
	scan, err := dir.Open(p.path("scan"))
	if err != nil {
		return err
	}
	defer scan.Close()
	for i := 0; i < p.count; i += 2 {
		gateway := s6.Service{In: scan, Name: fmt.Sprintf("gateway-p%d", i)}
		for {
			st, err := gateway.Status(s6.Programs(""))
			if err == nil && st.Supervised && st.Up() {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s: it is not up: %w", gateway.Name, errors.Join(ctx.Err(), err))
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}
