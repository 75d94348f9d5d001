//go:build linux

package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hermes-s6/lib/must"
)

// TestLinks: each link from one page of the source to another leads to an existing file, and
// to a heading of it.
func TestLinks(t *testing.T) {
	needSource(t)
	pages, err := filepath.Glob("*.md")
	must.Do(t, err)
	for _, pattern := range []string{"docs/*.md", "python/*.md"} {
		more, err := filepath.Glob(pattern)
		must.Do(t, err)
		pages = append(pages, more...)
	}
	link := regexp.MustCompile(`\]\(([^):\s]*)\)`)
	links := 0
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(readFile(t, page), -1) {
			links++
			file, heading, _ := strings.Cut(m[1], "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if heading != "" && !headings(readFile(t, to))[heading] {
				t.Errorf("%s: %s has no heading %s", page, to, heading)
			}
		}
	}
	if links < 20 {
		t.Errorf("%d links in %q", links, pages)
	}
}

// headings returns the names by which the headings of a page can be linked to.
func headings(page string) map[string]bool {
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names[strings.ReplaceAll(name, " ", "-")] = true
	}
	return names
}
