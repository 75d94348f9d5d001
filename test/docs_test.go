//go:build linux

// The pages that tell operators what to type are run: each of their commands runs in a
// container with the trouble that the section is about, and its answer is compared with the
// page. A command that nothing runs is an error.
//
// The rules for such a page:
//   - Commands are in blocks of type console, after a prompt: # is root's, $ the account's,
//     > continues the line above. The answer follows. In it ... stands for any text, and
//     on a line of its own for any lines.
//   - Any time matches any other, and so does any duration like 3s, and any number from
//     200 to 299, which are pids. Blanks count as one.
//   - A command of ours or of s6's that the text names with its arguments is in one of the
//     page's blocks.
//   - The trouble of the section TITLE of PAGE.md is made by testdata/docs/PAGE/TITLE.txtar,
//     with - for blanks. See arrange.
package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hermes-s6/lib/must"
)

var pages = []string{"README.md", "docs/operating.md", "docs/pipelines.md"}

// A page is a page that is run.
type page struct {
	path     string
	sections []*section
	prose    string
}

// A section is the text below one heading.
type section struct {
	title string
	steps []step
}

// setup returns the name of the archive that makes the section's trouble.
func (s *section) setup() string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(s.title), "-"), "-") + ".txtar"
}

// A step is a command and its answer.
type step struct {
	root    bool
	command string
	answer  string
}

// otherBlock matches the beginning of a Markdown code block that is not one of ours.
var otherBlock = regexp.MustCompile("```|~~~|<(pre|code)|^(\t|    )")

// readPage reads the page at path. An error names the line that breaks the rules.
func readPage(path string) (*page, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parsePage(path, string(data))
}

// setups returns the directory of the page's set-ups.
func (p *page) setups() string {
	return "testdata/docs/" + strings.TrimSuffix(filepath.Base(p.path), ".md") + "/"
}

func parsePage(path, text string) (*page, error) {
	p := &page{path: path}
	var in *section
	block := false
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		n++
		wrong := func(why string) error { return fmt.Errorf("%s:%d: %s: %s", path, n, why, line) }
		switch {
		case block && line == "```":
			block = false
		case block:
			if err := in.add(line); err != nil {
				return nil, wrong(err.Error())
			}
		case line == "```console" && in == nil:
			return nil, wrong("commands before the first section")
		case line == "```console":
			block = true
			in.steps = append(in.steps, step{}) // an answer must not be added to the previous block
		case otherBlock.MatchString(line):
			return nil, wrong("a block that nothing runs")
		case strings.HasPrefix(line, "## "):
			in = &section{title: line[3:]}
			p.sections = append(p.sections, in)
		default:
			p.prose += line + "\n"
		}
	}
	if block {
		return nil, fmt.Errorf("%s: a block does not end", path)
	}
	for _, s := range p.sections {
		steps := s.steps[:0]
		for _, step := range s.steps {
			if step.command != "" {
				steps = append(steps, step)
			}
		}
		s.steps = steps
	}
	return p, nil
}

// add adds a line of a block.
func (s *section) add(line string) error {
	last := &s.steps[len(s.steps)-1]
	prompt, rest, _ := strings.Cut(line, " ")
	switch {
	case prompt == "#", prompt == "$":
		s.steps = append(s.steps, step{root: prompt == "#", command: rest})
	case last.command == "":
		return fmt.Errorf("an answer to no command")
	case prompt == ">" && last.answer == "":
		last.command += "\n" + rest
	default:
		last.answer += line + "\n"
	}
	return nil
}

// unrun returns the commands in the page's text that no block contains.
func (p *page) unrun() []string {
	var blocks strings.Builder
	for _, s := range p.sections {
		for _, step := range s.steps {
			blocks.WriteString(step.command + "\n" + step.answer)
		}
	}
	var found []string
	for _, m := range regexp.MustCompile("`((?:/command/)?(?:hermes|s6)-[a-z0-9-]+ [^`]+)`").FindAllStringSubmatch(p.prose, -1) {
		if command := strings.ReplaceAll(m[1], "\n", " "); !strings.Contains(blocks.String(), command) {
			found = append(found, command)
		}
	}
	return found
}

var (
	aTime     = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d{4})?`)
	aDuration = regexp.MustCompile(`\b(\d+[dhms])+\b`)
	aPID      = regexp.MustCompile(`\b2\d\d\b`)
	blanks    = regexp.MustCompile(`[ \t]+`)
)

// plain returns text without what differs from one time to the next.
func plain(text string) string {
	text = aTime.ReplaceAllString(text, "TIME")
	text = aDuration.ReplaceAllString(text, "SPAN")
	return blanks.ReplaceAllString(text, " ")
}

// answers reports whether got is the answer that the page shows as want.
func answers(want, got string) bool {
	pattern := ""
	for line := range strings.Lines(plain(want)) {
		if line == "...\n" {
			pattern += `(?:.*\n)*`
			continue
		}
		line = aPID.ReplaceAllString(regexp.QuoteMeta(line), `\d+`)
		pattern += strings.ReplaceAll(line, `\.\.\.`, `.*`)
	}
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(plain(got))
}

// TestPages: each command of the pages is in a place where TestDocs runs it, and each set-up
// belongs to a section.
func TestPages(t *testing.T) {
	needSource(t)
	for _, path := range pages {
		p, err := readPage(path)
		must.Do(t, err)
		for _, command := range p.unrun() {
			t.Errorf("%s: `%s` is in no block, so nothing runs it", path, command)
		}
		setups := map[string]bool{}
		for _, s := range p.sections {
			if path == "README.md" && len(s.steps) == 0 {
				continue // it does other things besides
			}
			setups[s.setup()] = true
			if link := "](#" + strings.TrimSuffix(s.setup(), ".txtar") + ")"; path != "README.md" && !strings.Contains(p.prose, link) {
				t.Errorf("%s: the table at the top does not link to %s", path, s.title)
			}
			if len(s.steps) == 0 {
				t.Errorf("%s: %s: nothing to run", path, s.title)
			}
		}
		there, _ := filepath.Glob(p.setups() + "*")
		for _, setup := range there {
			if !setups[filepath.Base(setup)] {
				t.Errorf("%s: no section of %s is called like that", setup, path)
			}
			delete(setups, filepath.Base(setup))
		}
		for setup := range setups {
			t.Errorf("%s: there is no %s", path, p.setups()+setup)
		}
	}
}

// TestPageRules: a page that breaks the rules is rejected.
func TestPageRules(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"```console\n# true\n```\n", "before the first section"},
		{"## A\n```sh\ntrue\n```\n", "nothing runs"},
		{"## A\n- one\n  ```sh\n  true\n  ```\n", "nothing runs"},
		{"## A\n> ```sh\n> true\n> ```\n", "nothing runs"},
		{"## A\n<pre>true</pre>\n", "nothing runs"},
		{"## A\n\n    true\n", "nothing runs"},
		{"## A\n~~~\ntrue\n~~~\n", "nothing runs"},
		{"## A\n```console\nanswer\n```\n", "to no command"},
		{"## A\n```console\n# true\n```\n```console\nanswer\n```\n", "to no command"},
		{"## A\n```console\n# true\n", "does not end"},
	} {
		if _, err := parsePage("x", c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
	p, err := parsePage("x", "## A\nRun `hermes-svc stop\nwriter`, not `hermes-svc stop coder`.\n```console\n$ hermes-svc stop coder\n```\n")
	if err != nil || fmt.Sprint(p.unrun()) != "[hermes-svc stop writer]" {
		t.Errorf("unrun: %v, %v", p.unrun(), err)
	}
	for _, c := range []struct {
		want, got string
		is        bool
	}{
		{"up 211  3s\n", "up 7 1m2s\n", true},
		{"died 3 times\n", "died 4 times\n", false},
		{"a\n...\nb\n", "a\nx\ny\nb\n", true},
		{"a\n... b\n", "a\nx b\n", true},
		{"a\n... b\n", "a\nx\nb\n", false},
		{"a\n", "a\nb\n", false},
		{"", "a\n", false},
	} {
		if answers(c.want, c.got) != c.is {
			t.Errorf("answers(%q, %q) is not %v", c.want, c.got, c.is)
		}
	}
}

// TestDocs runs the pages.
func TestDocs(t *testing.T) {
	newContainer(t, t.TempDir()) // without containers all of it is skipped
	if _, err := exec.LookPath("jq"); err != nil {
		t.Fatalf("%v: run `make deps`, or install jq", err)
	}
	for _, path := range pages {
		p, err := readPage(path)
		must.Do(t, err)
		for _, s := range p.sections {
			if len(s.steps) == 0 {
				continue
			}
			setup := p.setups() + s.setup()
			t.Run(strings.TrimSuffix(s.setup(), ".txtar"), func(t *testing.T) {
				t.Parallel()
				c := arrange(t, setup)
				for _, step := range s.steps {
					if got := c.shell(!step.root, step.command); !answers(step.answer, got) {
						t.Errorf("%s\nsays\n%s\nthe page has\n%s", step.command, got, step.answer)
					}
				}
			})
		}
	}
}

// arrange boots a container and brings it into the trouble that the archive setup describes:
//
//	home/...  files of the home, there before the boot
//	env       the container's environment, a variable a line
//	beside    that of a second container on the same home, if there is to be one
//
// The text before the files is a script that root runs after the boot.
func arrange(t *testing.T, setup string) *container {
	t.Helper()
	archive, err := txtar.ParseFile(setup)
	must.Do(t, err)
	home := newHomeFor(t)
	var env, beside []string
	for _, f := range archive.Files {
		switch path, ok := strings.CutPrefix(f.Name, "home/"); {
		case ok:
			putFile(t, accountUID, home, path, string(f.Data))
		case f.Name == "env":
			env = strings.Fields(string(f.Data))
		case f.Name == "beside":
			beside = strings.Fields(string(f.Data))
		default:
			t.Fatalf("%s: %s: only env, beside and home/ can be", setup, f.Name)
		}
	}
	boot := func(env []string) *container {
		c := newContainer(t, home, env...)
		// It keeps no state: what the pages show must not depend on which process wrote last.
		c.check(writeGateway(c.hermes(), enters, behaves))
		c.boot()
		return c
	}
	if beside != nil {
		boot(beside)
	}
	c := boot(env)
	c.awaitRegistrar()
	const await = `set -e
await() { n=0; until "$@" >/dev/null 2>&1; do n=$((n + 1)); [ "$n" -lt 2000 ] || { echo "in vain: $*"; exit 1; }; sleep 0.01; done; }
`
	if got := c.shell(false, await+string(archive.Comment)); got != "" {
		t.Fatalf("%s: %s", setup, got)
	}
	return c
}
