//go:build linux

// Command bench measures the programs side by side with what they are compared to, prints the
// ratios, and writes them into docs/performance.md, with two charts. It runs at the top of the
// repository, after make build.
//
// It times whole processes, a run of each after the other, round after round. So other load on
// the machine affects all of them alike, and a ratio is taken within a round.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// A bench is one run of this program.
type bench struct {
	context.Context
	tools string // a directory of what is measured besides the programs of bin/
	runs  int
	boots int // the number of profiles of the largest boot
	// values are the results for the goals of this run's stages.
	values map[goal]value
	report
}

// A stage is something that can be measured by itself.
type stage struct {
	name    string
	measure func(*bench) error
}

// stages are in the order of docs/performance.md.
var stages = []stage{
	{"start", (*bench).start},
	{"live", (*bench).live},
	{"reconcile", (*bench).reconcile},
	{"boot", (*bench).boot},
	{"disk", (*bench).disk},
	{"memory", (*bench).memory},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	b := &bench{Context: ctx, values: map[goal]value{}}
	flag.IntVar(&b.runs, "runs", 10, "measure `N` rounds")
	flag.IntVar(&b.boots, "boot", thousand, "boot up to `N` profiles, of which every second one runs")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench [OPTIONS] [start] [live] [reconcile] [boot] [disk] [memory]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := b.run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench: fatal:", err)
		os.Exit(1)
	}
}

// run measures the stages of these names, or all without names.
func (b *bench) run(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(stages, func(s stage) bool { return s.name == name }) {
			return fmt.Errorf("%s: there is nothing of that name to measure", name)
		}
	}
	if b.runs < 1 {
		return fmt.Errorf("-runs %d: must be at least 1", b.runs)
	}
	if b.boots < 1 {
		return fmt.Errorf("-boot %d: must be at least 1", b.boots)
	}
	if err := b.build(); err != nil {
		return err
	}
	defer os.RemoveAll(b.tools)
	b.machine()
	for _, s := range stages {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: measuring: %s\n", s.name)
		if err := s.measure(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.verdicts()
	return b.report.write()
}
