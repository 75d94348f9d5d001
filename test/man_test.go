//go:build linux

package test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6"
)

// The manual pages say exactly what the programs' --help says.

// An option is an option of a program, from its --help or its page.
type option struct{ names, value, variable, fallback string }

// A help is the content of --help.
type help struct {
	summary   string
	options   map[string]option // by the names, with a blank between them
	variables []string          // that belong to no option
	codes     map[string]string
	text      string
}

var (
	variable  = regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`)
	remark    = regexp.MustCompile(`\(([^()]*)\)$`)
	fallback  = regexp.MustCompile(`The default is (.+?)\.( |$)`)
	exits     = regexp.MustCompile(`exits? ([0-9, or]+);`)
	wordBreak = regexp.MustCompile(`,? +`)
)

// helpOf runs a program with args and --help.
func helpOf(t *testing.T, program string, args ...string) help {
	t.Helper()
	bin := static(t)
	out, err := exec.Command(filepath.Join(bin, program), append(args, "--help")...).Output()
	if err != nil {
		t.Fatalf("%s %v --help: %v", program, args, err)
	}
	h := help{options: map[string]option{}, codes: map[string]string{}, text: string(out)}
	title, rest, _ := strings.Cut(h.text, "\n")
	_, h.summary, _ = strings.Cut(title, ": ")
	section := ""
	for line := range strings.Lines(rest) {
		line = strings.TrimSuffix(line, "\n")
		head, text, _ := strings.Cut(strings.TrimPrefix(line, "  "), "  ")
		switch {
		case !strings.HasPrefix(line, " "):
			section = line
		case strings.HasPrefix(section, "options"):
			o := optionOf(head)
			if m := remark.FindStringSubmatch(text); m != nil {
				o.fallback = m[1]
				if v, after, _ := strings.Cut(m[1], ", "); variable.MatchString(v) {
					o.variable, o.fallback = v, after
				}
			}
			h.options[o.names] = o
		case strings.HasPrefix(section, "environment"):
			h.variables = append(h.variables, head)
		}
	}
	_, codes, _ := strings.Cut(strings.ReplaceAll(h.text, "\n", " "), "exit codes: ")
	for _, c := range strings.Split(codes, ",") {
		number, text, _ := strings.Cut(strings.TrimSpace(c), " ")
		h.codes[number] = text
	}
	return h
}

// optionOf parses names and a value, as in "--help, -h" and "--port N".
func optionOf(head string) (o option) {
	for _, w := range wordBreak.Split(head, -1) {
		if strings.HasPrefix(w, "-") {
			o.names = strings.TrimSpace(o.names + " " + w)
		} else {
			o.value = w
		}
	}
	return o
}

// A manual is a page: its lines of mdoc, by section.
type manual map[string][]string

func readManual(t *testing.T, name string) manual {
	t.Helper()
	needSource(t)
	p, section := manual{}, ""
	for line := range strings.Lines(readFile(t, filepath.Join("man", name))) {
		line = strings.TrimSuffix(line, "\n")
		title := strings.TrimPrefix(strings.TrimPrefix(line, ".Sh "), ".Ss ")
		if title != line {
			section = title
		}
		p[section] = append(p[section], line)
	}
	return p
}

// unmarked returns a line of mdoc without its markup.
func unmarked(line string) string {
	if !strings.HasPrefix(line, ".") {
		return line
	}
	var out strings.Builder
	dash, glued := "", true
	for _, w := range strings.Fields(line[1:]) {
		switch w {
		case "Fl":
			dash = "-"
			continue
		case "It", "Ar", "Ev", "Pa", "Ql", "Cm", "Sy", "Xr", "Pq", "Pp", "Nm", "Nd", "No", "Dv":
			dash = ""
			continue
		case "Ns":
			glued = true
			continue
		}
		if !glued && !strings.Contains(",.;:)", w) {
			out.WriteByte(' ')
		}
		glued = false
		if !strings.Contains(",.;:)", w) {
			out.WriteString(dash)
		}
		out.WriteString(w)
	}
	return out.String()
}

// items returns the items of a section's lists: the head of each, and its text.
func (p manual) items(section string) (items [][2]string) {
	inside := false
	for _, line := range p[section] {
		switch {
		case strings.HasPrefix(line, ".It "):
			items = append(items, [2]string{unmarked(line), ""})
			inside = true
		case strings.HasPrefix(line, ".El"):
			inside = false
		case inside:
			text := &items[len(items)-1][1]
			*text = strings.TrimSpace(*text + " " + unmarked(line))
		}
	}
	return items
}

// options returns the options that a section lists.
func (p manual) options(section string) map[string]option {
	options := map[string]option{}
	for _, item := range p.items(section) {
		o := optionOf(item[0])
		if m := fallback.FindStringSubmatch(item[1]); m != nil {
			o.fallback = m[1]
		}
		for _, w := range strings.FieldsFunc(item[1], func(r rune) bool { return strings.ContainsRune(" (),.", r) }) {
			if variable.MatchString(w) && strings.Contains(w, "_") {
				o.variable = w
			}
		}
		options[o.names] = o
	}
	return options
}

// variables returns the variables that a section names.
func (p manual) variables(section string) (names []string) {
	for _, line := range p[section] {
		for i, macros := 0, strings.Fields(line); i < len(macros); i++ {
			if macros[i] == "Ev" || macros[i] == ".Ev" {
				for _, w := range macros[i+1:] {
					if variable.MatchString(w) {
						names = append(names, w)
					}
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// programs returns the names of all our programs.
func programs(t *testing.T) (names []string) {
	dirs, err := filepath.Glob("cmd/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("cmd: %v", err)
	}
	for _, d := range dirs {
		names = append(names, filepath.Base(d))
	}
	return names
}

// differ reports what is in only one of two sets.
func differ[K comparable, V comparable](t *testing.T, what string, helps, pages map[K]V) {
	t.Helper()
	for k, v := range helps {
		if pages[k] != v {
			t.Errorf("%s: --help has %+v, the page %+v", what, v, pages[k])
		}
	}
	for k, v := range pages {
		if _, ok := helps[k]; !ok {
			t.Errorf("%s: only the page has %+v", what, v)
		}
	}
}

func set(names []string) map[string]string {
	s := map[string]string{}
	for _, n := range names {
		s[n] = n
	}
	return s
}

func TestManualPages(t *testing.T) {
	overview := readManual(t, "hermes-s6.1")
	common := overview.options("Common options")
	var commonVariables []string
	for _, o := range common {
		commonVariables = append(commonVariables, o.variable)
	}
	codes := map[string]string{}
	for _, item := range overview.items("EXIT STATUS") {
		codes[item[0]], _, _ = strings.Cut(item[1], ";")
		codes[item[0]], _, _ = strings.Cut(codes[item[0]], ", ")
	}
	described := map[string]string{}
	for _, item := range overview.items("ENVIRONMENT") {
		described[item[0]] = item[1]
	}
	for _, program := range programs(t) {
		t.Run(program, func(t *testing.T) {
			h, p := helpOf(t, program), readManual(t, program+".1")
			for _, verb := range map[string][]string{"hermes-registrar": {"register", "unregister"}}[program] {
				maps.Copy(h.options, helpOf(t, program, verb).options)
			}
			options := p.options("OPTIONS")
			if strings.Contains(strings.Join(p["OPTIONS"], " "), "In addition to the common options, see .Xr hermes-s6 1") {
				for names, o := range common {
					if _, own := options[names]; !own {
						options[names] = o
					}
				}
			}
			differ(t, "options", h.options, options)

			variables := h.variables
			for _, o := range h.options {
				if o.variable != "" {
					variables = append(variables, o.variable)
				}
			}
			if program != "hermes-s6" { // which describes those of the others
				isCommon := func(name string) bool { return slices.Contains(commonVariables, name) }
				named := slices.DeleteFunc(p.variables("ENVIRONMENT"), isCommon)
				differ(t, "variables", set(slices.DeleteFunc(variables, isCommon)), set(named))
				for _, name := range named {
					if strings.Contains(strings.Join(p["ENVIRONMENT"], "\n"), ".It Ev "+name) || slices.Contains(p.variables("OPTIONS"), name) {
						continue
					}
					if text := described[name]; text == "" {
						t.Errorf("variable %s: not described here or in hermes-s6(1)", name)
					}
				}
			}
			for _, line := range strings.Split(h.text, "\n") {
				name, text, _ := strings.Cut(strings.TrimSpace(line), "  ")
				m := remark.FindStringSubmatch(text)
				if m == nil || described[name] == "" {
					continue
				}
				if want := "The default is " + m[1]; !strings.Contains(described[name], want) {
					t.Errorf("variable %s: hermes-s6(1) does not say %q", name, want)
				}
			}

			if program == "hermes-s6" {
				differ(t, "exit codes", h.codes, codes)
			} else {
				m := exits.FindStringSubmatch(strings.Join(p["EXIT STATUS"], " "))
				if m == nil {
					t.Fatal("EXIT STATUS does not say which codes there are")
				}
				for _, code := range regexp.MustCompile(`[0-9]+`).FindAllString(m[1], -1) {
					if codes[code] == "" {
						t.Errorf("exit code %s: not in the table", code)
					}
				}
			}
			if name := strings.Join(p["NAME"], "\n"); !strings.Contains(name, "\n.Nd "+h.summary) {
				t.Errorf("NAME: %q, --help says %q", name, h.summary)
			}
			for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"} {
				if len(p[section]) < 2 {
					t.Errorf("section %s is missing", section)
				}
			}
			if program != "hermes-s6" && !slices.Contains(overview["SEE ALSO"], ".Xr "+program+" 1 ,") {
				t.Error("hermes-s6(1) does not name it")
			}
		})
	}
}

// TestManualFields: the fields of -o are s6's, in the page and in --help.
func TestManualFields(t *testing.T) {
	var named []string
	for _, line := range readManual(t, "hermes-svstat.1")["OPTIONS"] {
		if rest, ok := strings.CutPrefix(line, ".Cm "); ok {
			named = append(named, strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune(" ,;.", r) })...)
		}
	}
	fields := append(slices.Clone(s6.Fields), "name")
	differ(t, "fields", set(fields), set(named))
	_, text, _ := strings.Cut(helpOf(t, "hermes-svstat").text, "s6-svstat's fields:")
	text, _, _ = strings.Cut(text, ".")
	differ(t, "fields of --help", set(s6.Fields), set(strings.Fields(text)))
}

// TestManualVariables: each variable in the code is in some page, and each one in a page is in
// the code.
func TestManualVariables(t *testing.T) {
	needSource(t)
	quoted := regexp.MustCompile(`"((?:HERMES|S6|GATEWAY)_[A-Z0-9_]+|NO_COLOR)"`)
	known, named := map[string]string{}, map[string]string{}
	err := filepath.Walk("lib", func(path string, info os.FileInfo, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "s6test") {
			for _, m := range quoted.FindAllStringSubmatch(readFile(t, path), -1) {
				known[m[1]] = m[1]
			}
		}
		return err
	})
	must.Do(t, err)
	pages, _ := filepath.Glob("man/*")
	for _, path := range pages {
		p := readManual(t, filepath.Base(path))
		for section := range p {
			maps.Copy(named, set(p.variables(section)))
		}
	}
	// Variables of the gateway and of every program, and those that only scripts read.
	for _, name := range []string{"HOME", "PATH", "HERMES_PROFILE_SCRUB"} {
		delete(named, name)
	}
	differ(t, "variables", known, named)
}
