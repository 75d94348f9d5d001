//go:build linux

package main

import "strconv"

// reconcile measures a boot: n fresh profiles, a second run with nothing to do, and
// C making the same slots with the bare system calls.
func (b *bench) reconcile() error {
	t := &table{header: []string{"profiles", "fresh, ms", "fresh against C", "again against fresh", "fresh against 1,000"}}
	var thousand float64
	var fresh []float64
	for _, n := range []int{1, 10, 100, 1000, 2000, 10000} {
		err := b.in(false, func(p *place) error {
			if err := p.profiles(n); err != nil {
				return err
			}
			c := contender{
				args:   []string{b.tool("slots"), p.path("scan"), strconv.Itoa(n), strconv.Itoa(p.gid)},
				before: p.empty,
			}
			first, again := p.reconciling(), p.reconciling()
			first.before = p.empty
			times, err := p.contend(b.rounds(n), c, first, again)
			if err != nil {
				return err
			}
			if n == 1000 {
				thousand = times[1].median()
			}
			fresh = append(fresh, times[1].median())
			t.row(count(n), figure(times[1].median()), times[1].over(times[0]).ratio(), times[2].over(times[1]).ratio())
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i, ms := range fresh {
		t.rows[i] = append(t.rows[i], figure(ms/thousand))
	}
	b.add("reconcile", t)
	return nil
}
