//go:build linux

package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hermes-s6/lib/must"
)

// A message is one that the programs can print: the format of an error, a warning, a hint.
type message struct{ at, format string }

// catalogue returns all messages of lib, as they stand in calls of the functions that make one.
func catalogue(t *testing.T) (all []message) {
	makers := map[string]int{"Errorf": 0, "New": 0, "Hint": 1, "TryHelp": 0, "Warn": 0, "Info": 0}
	paths, err := filepath.Glob("lib/*/*.go")
	must.Do(t, err)
	set := token.NewFileSet()
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "lib/must/") {
			continue
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		must.Do(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			nth, ok := makers[f.Sel.Name]
			if from, isPackage := f.X.(*ast.Ident); isPackage && from.Name == "fail" && f.Sel.Name == "Errorf" {
				nth = 1
			}
			if !ok || len(call.Args) <= nth {
				return true
			}
			if text, ok := call.Args[nth].(*ast.BasicLit); ok && text.Kind == token.STRING {
				format, err := strconv.Unquote(text.Value)
				must.Do(t, err)
				all = append(all, message{set.Position(text.Pos()).String(), format})
			}
			return true
		})
	}
	return all
}

// Reasons why no test expects a message.
const (
	byKernel  = "only a kernel or a file system that fails just there has it printed"
	byRace    = "only another process at just that moment has it printed"
	byZombie  = "only a process that SIGKILL does not end has it printed"
	byProgram = "only an s6 that says what none of its versions says has it printed"
	bySystem  = "it is printed outside Linux"
	inside    = "it is not printed: a caller compares it, or has a message of its own"
)

// leftOutMessages are the messages that no test expects, and why.
var leftOutMessages = map[string]string{
	"gateway '%s': cannot tell its logger where to write: %v":                            byKernel,
	"gateway '%s': cannot tell when it is ready: %w":                                     byKernel,
	"inotify: %v; checking every two seconds instead":                                    byKernel,
	"cannot tell what this container is for: %w":                                         byKernel,
	"inotify cannot watch everything, so everything is checked every %d s: %v":           byKernel,
	"something else is in its place and cannot be moved aside":                           byRace,
	"held by %s, and we may not lock it: %v":                                             byKernel,
	"leftover of a killed run: %v":                                                       byKernel,
	"rotated too fast to read":                                                           byRace,
	"profile %s: lines are missing here: s6-log rotated them away before they were read": byRace,
	"mkdir %s: somebody else replaced it":                                                byRace,
	"another directory, without profiles, is in its place":                               byRace,
	"no such directory": byRace,
	"left as it is: somebody else registered or unregistered it": byRace,
	"%s: a link to a supervised service":                         byRace,
	"remove the link, and run s6-svscanctl -an":                  byRace,
	"profile %s: somebody else unregistered it":                  byRace,
	"gateway '%s': still running after SIGKILL":                  byZombie,
	"profile %s: its gateway (pid %d) still runs after SIGKILL":  byZombie,
	"registrar: unreadable answer: %w":                           byProgram,
	"s6-svstat: cannot parse %q":                                 byProgram,
	"service manager s6: not available on %s":                    bySystem,
	"the character %U":                                           inside,
	"too many directories in profiles/ have no SOUL.md":          byRace,
	"this file system does not pass it on":                       inside,
	"written meanwhile":                                          inside,
	"there is a state already":                                   inside,
	"nobody reads it":                                            inside,
}

// said returns the texts in which tests write what they expect of messages.
func said(t *testing.T) string {
	var all strings.Builder
	for _, pattern := range []string{"testdata/script/*.txtar", "test/*_test.go", "lib/*/*_test.go", "python/test_*.py", "python/compat/test_*.py", "docs/*.md"} {
		paths, err := filepath.Glob(pattern)
		must.Do(t, err)
		for _, path := range paths {
			if path == "test/messages_test.go" {
				continue
			}
			text, err := os.ReadFile(path)
			must.Do(t, err)
			all.Write(text)
		}
	}
	// Patterns escape special characters, and scripts a quote.
	return strings.NewReplacer(`\`, "", "''", "'").Replace(all.String())
}

var verb = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)

// enough bytes of a message distinguish it from the others.
const enough = 20

// recognizable reports whether expected has enough of a fixed part of format.
func recognizable(format, expected string) bool {
	parts := verb.Split(format, -1)
	longest := len(slices.MaxFunc(parts, func(a, b string) int { return len(a) - len(b) }))
	for _, part := range parts {
		if len(part) < min(enough, longest) {
			continue
		}
		part = strings.Trim(part, " :;,.()'\"")
		for at := 0; at == 0 || at+enough <= len(part); at++ {
			if strings.Contains(expected, part[at:min(at+enough, len(part))]) {
				return true
			}
		}
	}
	return false
}

// TestMessages: each message of the programs is expected by a test, except for those that need
// what no test can cause.
func TestMessages(t *testing.T) {
	needSource(t)
	expected := said(t)
	for _, m := range catalogue(t) {
		_, out := leftOutMessages[m.format]
		if is := recognizable(m.format, expected); is == out {
			t.Errorf("%s: %q is expected by a test: %v; it is among leftOutMessages: %v", m.at, m.format, is, out)
		}
	}
}
