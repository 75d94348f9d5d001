//go:build linux

package main

// reconcile measures a boot: n fresh profiles, a second run with nothing to do, and C making
// the same slots with the bare system calls.
func (b *bench) reconcile() error {
	t := &table{header: []string{"profiles", "fresh, ms", "fresh against C", "again against fresh", "fresh against 1,000"}}
	fresh := map[int]float64{}
	sizes := []int{1, 10, 100, 1000, 2000, 10000}
	for _, n := range sizes {
		err := b.in(false, func(p *place) error {
			template, err := p.template()
			if err != nil {
				return err
			}
			if err := p.profiles(n); err != nil {
				return err
			}
			c := p.inC(template)
			c.before = p.empty
			first, second := p.reconciling(), p.reconciling()
			first.before = p.empty
			times, err := p.contend(b.rounds(n), c, first, second)
			if err != nil {
				return err
			}
			overC, again := times[1].over(times[0]), times[2].over(times[1])
			fresh[n] = times[1].median()
			switch n {
			case thousand:
				b.measured(secondRun, again.median())
			case 2 * thousand:
				b.measured(freshBoot, overC.median())
			}
			t.row(count(n), figure(fresh[n]), overC.ratio(), again.ratio())
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i, n := range sizes {
		t.rows[i] = append(t.rows[i], figure(fresh[n]/fresh[thousand]))
	}
	b.measured(tenTimes, fresh[10*thousand]/fresh[thousand])
	b.add("reconcile", t)
	return nil
}
