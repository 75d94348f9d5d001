//go:build linux

package main

import "fmt"

// A goal is a requirement on a figure of one of the stages.
type goal int

const (
	startDetect goal = iota
	startStatus
	loopUp
	loopJSON
	loopTable
	registerAmong
	freshBoot
	tenTimes
	secondRun
	realBoot
	diskBoot
	memoryAll
	followReconcile
	followStatus
	goals // the number of goals
)

// A target is a goal in figures.
type target struct {
	what, words string // words precede limit: at most, at least, less than
	limit       float64
	unit        string
	least       bool // more is better
}

var targets = [goals]target{
	startDetect:     {what: "start of hermes-detect, against the option library", words: "at most", limit: 1.1},
	startStatus:     {what: "start of hermes-svstat, against the option library", words: "at most", limit: 1.1},
	loopUp:          {what: "the shell loop over 1,000, against hermes-svstat -o up", words: "at least", limit: 100, least: true},
	loopJSON:        {what: "the shell loop over 1,000, against --json", words: "at least", limit: 60, least: true},
	loopTable:       {what: "the shell loop over 1,000, against the table", words: "at least", limit: 60, least: true},
	registerAmong:   {what: "registering one among 1,000, against s6's tools", words: "at most", limit: 1.2},
	freshBoot:       {what: "hermes-reconcile, 2,000 fresh, against C", words: "at most", limit: 2},
	tenTimes:        {what: "hermes-reconcile, 10,000 fresh, against 1,000: 10 and a quarter", words: "at most", limit: 12.5},
	secondRun:       {what: "hermes-reconcile, 1,000 again, against fresh", words: "at most", limit: 1.0 / 3},
	realBoot:        {what: "boot of 1,000 until all are up, against C", words: "at most", limit: 1.1},
	diskBoot:        {what: "1,000 fresh on ext4 with 5 ms a sync, slower than on tmpfs", words: "at most", limit: 100, unit: " ms"},
	memoryAll:       {what: "most memory of any program, 10,000 profiles", words: "at most", limit: 30, unit: " MB"},
	followReconcile: {what: "memory of hermes-reconcile --follow, 1,000 profiles", words: "less than", limit: 20, unit: " MB"},
	followStatus:    {what: "memory of hermes-svstat --follow, 1,000 gateways", words: "less than", limit: 20, unit: " MB"},
}

// verdict returns whether x meets t, in words.
func (t target) verdict(x float64) string {
	by := 100 * (x/t.limit - 1)
	if t.least {
		by = -by
	}
	switch {
	case by < 0 || by == 0 && t.words != "less than":
		return "met"
	case by < 10:
		return fmt.Sprintf("missed by %.1f %%", by)
	}
	return fmt.Sprintf("missed by %.0f %%", by)
}

// A value is the result for a goal, and what it belongs to if there are several.
type value struct {
	x  float64
	of string
}

// measured records the result for g.
func (b *bench) measured(g goal, x float64) { b.values[g] = value{x: x} }

// verdicts prints for each target whether this run has met it. The results of an earlier run
// say nothing about the present programs.
func (b *bench) verdicts() {
	t := &table{header: []string{"target", "asked", "measured", "verdict"}}
	for g, target := range targets {
		asked := target.words + " " + figure(target.limit) + target.unit
		if v, ok := b.values[goal(g)]; ok {
			measured := figure(v.x) + target.unit
			if v.of != "" {
				measured += " (" + v.of + ")"
			}
			t.row(target.what, asked, measured, target.verdict(v.x))
		} else {
			t.row(target.what, asked, "", "not measured")
		}
	}
	b.add("verdicts", t)
}
