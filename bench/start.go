//go:build linux

package main

// start measures the cost of programs that have next to nothing to do.
func (b *bench) start() error {
	return b.in(true, func(p *place) error {
		if err := p.grow(1); err != nil {
			return err
		}
		detect := p.program("hermes-detect")
		multi := p.program("hermes-s6", "hermes-detect")
		detect.no, multi.no = true, true // there may be no service manager here
		names := []string{"empty Go program", "with the option library", "hermes-detect", "hermes-svstat -o up NAME", "hermes-s6 hermes-detect", "s6-svstat -o up DIR"}
		times, err := p.contend(b.rounds(1), warmed(
			contender{args: []string{b.tool("line")}},
			contender{args: []string{b.tool("floor")}},
			detect, p.program("hermes-svstat", "-o", "up", "p0"), multi,
			contender{args: []string{"s6-svstat", "-o", "up", p.slot("p0")}})...)
		if err != nil {
			return err
		}
		t := &table{header: []string{"program", "ms", "against the empty Go program", "against the option library"}}
		for i, name := range names {
			t.row(name, figure(times[i].median()), times[i].over(times[0]).ratio(), times[i].over(times[1]).ratio())
		}
		b.measured(startDetect, times[2].over(times[1]).median())
		b.measured(startStatus, times[3].over(times[1]).median())
		b.add("start", t)
		return nil
	})
}
