//go:build linux

package main

import "testing"

func TestVerdict(t *testing.T) {
	most := target{words: "at most", limit: 20}
	less := target{words: "less than", limit: 20}
	least := target{words: "at least", limit: 20, least: true}
	for _, c := range []struct {
		target
		x    float64
		want string
	}{
		{most, 19.9, "met"},
		{most, 20, "met"},
		{most, 21, "missed by 5.0 %"},
		{most, 50, "missed by 150 %"},
		{most, -3, "met"}, // a difference can be negative
		{less, 19.9, "met"},
		{less, 20, "missed by 0.0 %"},
		{least, 20, "met"},
		{least, 25, "met"},
		{least, 19, "missed by 5.0 %"},
	} {
		if got := c.verdict(c.x); got != c.want {
			t.Errorf("%s %v of %v: got %q, want %q", c.words, c.limit, c.x, got, c.want)
		}
	}
}

// TestVerdicts: each goal has a target, and for what this run did not measure nothing is claimed.
func TestVerdicts(t *testing.T) {
	b := &bench{values: map[goal]value{loopUp: {x: 50}, memoryAll: {42, "one"}}}
	b.verdicts()
	rows := b.tables["verdicts"].rows
	if len(rows) != int(goals) {
		t.Fatalf("got %d rows, want %d", len(rows), goals)
	}
	for g, row := range rows {
		if targets[g].what == "" || targets[g].limit == 0 {
			t.Errorf("goal %d: it has no target", g)
		}
		want := [2]string{"", "not measured"}
		switch goal(g) {
		case loopUp:
			want = [2]string{"50.0", "missed by 50 %"}
		case memoryAll:
			want = [2]string{"42.0 MB (one)", "missed by 40 %"}
		}
		if got := [2]string{row[2], row[3]}; got != want {
			t.Errorf("%s: got %q, want %q", row[0], got, want)
		}
	}
}
