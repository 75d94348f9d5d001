//go:build linux

package main

import (
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

// String implements fmt.Stringer. The text is Markdown, with aligned columns, since some read
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

// add prints t and keeps it for write.
func (r *report) add(name string, t *table) {
	if r.tables == nil {
		r.tables = map[string]*table{}
	}
	r.names = append(r.names, name)
	r.tables[name] = t
	fmt.Printf("%s\n\n%s\n", name, t)
}

// page contains the tables, each between <!-- bench:NAME --> and the next <!-- /bench -->.
const page = "docs/performance.md"

// cut returns the parts of text before, in, and after the table name.
func cut(text, name string) (before, rows, after string, err error) {
	mark := "<!-- bench:" + name + " -->\n"
	before, rest, ok := strings.Cut(text, mark)
	rows, after, closed := strings.Cut(rest, "<!-- /bench -->")
	if !ok || !closed {
		err = fmt.Errorf("%s: there is no place for the table bench:%s", page, name)
	}
	return before + mark, rows, "<!-- /bench -->" + after, err
}

// write puts each table of r into page, and draws its charts.
func (r *report) write() error {
	data, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text := string(data)
	for _, name := range r.names {
		before, _, after, err := cut(text, name)
		if err != nil {
			return err
		}
		text = before + r.tables[name].String() + after
	}
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		return err
	}
	return charts(text)
}

// cells returns the cells of the table name of text, row by row, without its header.
func cells(text, name string) (all [][]string, err error) {
	_, rows, _, err := cut(text, name)
	for line := range strings.Lines(rows) {
		row := strings.Split(strings.Trim(line, "| \n"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		all = append(all, row)
	}
	return all[min(2, len(all)):], err
}
