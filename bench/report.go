//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// A table is one of the tables of docs/performance.md.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// String implements fmt.Stringer: in Markdown, the columns aligned for who reads
// it as it is.
func (t *table) String() string {
	width := make([]int, len(t.header))
	lines := append([][]string{t.header}, t.rows...)
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], len(cell))
		}
	}
	rule := make([]string, len(width))
	for i, w := range width {
		rule[i] = strings.Repeat("-", w)
	}
	lines = append([][]string{t.header, rule}, t.rows...)
	var text strings.Builder
	for _, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(&text, "| %-*s ", width[i], cell)
		}
		text.WriteString("|\n")
	}
	return text.String()
}

// A report is the tables of a run, by name.
type report struct {
	names  []string
	tables map[string]*table
}

// add prints t and keeps it to be written.
func (r *report) add(name string, t *table) {
	if r.tables == nil {
		r.tables = map[string]*table{}
	}
	r.names = append(r.names, name)
	r.tables[name] = t
	fmt.Printf("%s\n\n%s\n", name, t)
}

// write puts each table into the file, between <!-- bench:NAME --> and the next
// <!-- /bench -->.
func (r *report) write(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(data)
	for _, name := range r.names {
		before, rest, ok := strings.Cut(text, "<!-- bench:"+name+" -->\n")
		_, after, closed := strings.Cut(rest, "<!-- /bench -->")
		if !ok || !closed {
			err = errors.Join(err, fmt.Errorf("%s: there is no place for the table bench:%s", path, name))
			continue
		}
		text = before + "<!-- bench:" + name + " -->\n" + r.tables[name].String() + "<!-- /bench -->" + after
	}
	if e := os.WriteFile(path, []byte(text), 0o644); e != nil {
		return e
	}
	return err
}
