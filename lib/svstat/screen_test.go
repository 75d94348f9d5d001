//go:build linux

package svstat

import "testing"

func TestCut(t *testing.T) {
	for _, c := range []struct {
		line    string
		columns int
		want    string
	}{
		{"name up", 4, "name"},
		{"name " + green + "up" + plain, 6, "name " + green + "u" + plain},
		{"世界", 3, "世"},
		{"\x1b[2", 9, "\x1b[2"}, // a sequence without an end
	} {
		if got, _ := cut(c.line, c.columns); got != c.want {
			t.Errorf("%q, %d columns: %q, want %q", c.line, c.columns, got, c.want)
		}
	}
}
