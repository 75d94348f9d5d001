// Package cli knows the manners that all binaries of the suite have in common:
// options and their environment variables, messages, output and exit codes. A
// binary is a Command; what it does is not known here.
//
// The rules are:
//   - stdout carries results only; a write that fails is an error like any
//     other.
//   - Each message is one line on stderr, NAME: LEVEL: WHAT: WHY.
//   - A flag beats its variable, an empty variable counts as unset, and an
//     empty value of a flag is wrong usage.
//   - Exit codes come from package fail and from nowhere else.
package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"hermes-s6/lib/fail"
)

// Version is what --version prints; the build sets it.
var Version = "devel"

// A Command is one binary of the suite.
type Command struct {
	Name     string
	Summary  string // one line, lower case, no full stop
	Verb     string // what comes before the options, for the usage line
	Operands string // for the usage line
	Text     string // what --help says besides
	Flags    []*Flag
	// Variables are those of the environment that count besides the options'.
	Variables []Variable
	// Bare commands have no common options but --help.
	Bare bool
	Run  func(*Context) error
}

// A Variable is one of the environment, for --help.
type Variable struct{ Name, Usage string }

// A Context is one run of a Command: its options, its output, its messages.
type Context struct {
	Args  []string      // the operands
	Out   *bufio.Writer // stdout, flushed when Run has returned
	flags flags
	name  string
	errs  io.Writer
	umask int // before us
	// hinted is the last hint.
	hinted atomic.Pointer[string]
}

// Main runs cmd with args, of which the first is the program's name, and
// returns the exit code.
func Main(cmd *Command, args []string) int {
	return int(cmd.run(clearUmask(), args, os.Stdout, os.Stderr))
}

func (cmd *Command) run(umask int, args []string, stdout, stderr io.Writer) fail.Code {
	// The library's own --help takes operands for topics; its --version has -v.
	cli.HelpFlag = nil
	version := Bool("print the version and exit", "version")
	c := &Context{Out: bufio.NewWriterSize(stdout, 32<<10), name: cmd.Name, errs: stderr, umask: umask}
	c.flags = slices.Concat(cmd.Flags, cmd.common(), []*Flag{version})
	app := &cli.App{
		Name:                  cmd.Name,
		Usage:                 cmd.Summary,
		ArgsUsage:             cmd.Operands,
		UsageText:             cmd.Verb,
		Description:           strings.TrimSpace(cmd.Text),
		Metadata:              map[string]any{"variables": cmd.Variables},
		Compiled:              time.Unix(0, 0), // else the library asks the file system
		CustomAppHelpTemplate: help,
		Flags:                 c.flags.library(),
		HideHelp:              true,
		HideVersion:           true,
		Writer:                c.Out,
		ErrWriter:             stderr,
		ExitErrHandler:        func(*cli.Context, error) {},
		OnUsageError:          func(*cli.Context, error, bool) error { return c.flags.wrong(args[1:]) },
		Action: func(ctx *cli.Context) error {
			c.Args = ctx.Args().Slice()
			if c.Bool("version") {
				_, err := fmt.Fprintln(c.Out, cmd.Name, Version)
				return err
			}
			if c.Bool("help") {
				return cli.ShowAppHelp(ctx)
			}
			if err := c.check(); err != nil {
				return err
			}
			return cmd.Run(c)
		},
	}
	err := app.Run(args)
	// An answer of no that nobody got is none.
	if e := c.Out.Flush(); e != nil && (err == nil || err.Error() == "") {
		err = fail.Errorf(fail.System, "write to stdout: %w", e)
	}
	if err != nil && err.Error() != "" {
		c.Error(err)
	}
	return fail.CodeOf(err)
}

func (cmd *Command) common() []*Flag {
	if cmd.Bare {
		return []*Flag{helpFlag()}
	}
	return []*Flag{JSONFlag(), helpFlag(), Bool("print info messages", "verbose", "v")}
}

// TryHelp is an error of usage about which --help says more.
func TryHelp(format string, args ...any) error {
	return fail.Hint(fail.Errorf(fail.Usage, format, args...), "try --help")
}

// Quiet returns an error that makes the process exit with code and print
// nothing: the answer is no, or the messages are out already.
func Quiet(code fail.Code) error { return fail.Errorf(code, "") }

const help = `{{.Name}}: {{.Usage}}

usage: {{.Name}}{{if .UsageText}} {{.UsageText}}{{end}} [OPTIONS]{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}
{{if .Description}}
{{.Description}}
{{end}}
options (variable, default):
{{range .VisibleFlags}}  {{.}}
{{end}}{{with .Metadata.variables}}
environment:
{{range .}}  {{.Name}}{{"\t"}}{{.Usage}}
{{end}}{{end}}
` + fail.Help

// say prints one line, whatever text holds: a name or what a program said may
// hold a newline, which would make it two messages, or an escape sequence.
func (c *Context) say(level, text string) {
	fmt.Fprintf(c.errs, "%s: %s: %s\n", c.name, level, Printable(text))
}

// Printable returns s as it may stand on a terminal: a space for each character that
// moves, hides or reorders others there, C1 controls included, and U+FFFD for each byte
// that is not UTF-8, which a terminal may take for such a one.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// Excerpt returns the first n bytes or less of s, on one line that may stand on a terminal.
// Whoever keeps them does not keep s, which may be long.
func Excerpt(s string, n int) string {
	line := strings.Join(strings.Fields(Printable(s)), " ")
	if len(line) > n {
		line = strings.ToValidUTF8(line[:n], "") // the cut may go through a character
	}
	return strings.Clone(line)
}

// Error prints an error that is not the last.
func (c *Context) Error(err error) {
	c.say("fatal", err.Error())
	c.hintOf(err)
}

// Warn prints a warning, and what to do about an error that is among args.
func (c *Context) Warn(format string, args ...any) {
	c.say("warning", fmt.Sprintf(format, args...))
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			c.hintOf(err)
		}
	}
}

// hintOf prints what to do about err. Of several errors in a row with one cure only the first
// is followed by it.
func (c *Context) hintOf(err error) {
	hint := fail.HintOf(err)
	if last := c.hinted.Swap(&hint); hint != "" && (last == nil || *last != hint) {
		c.say("hint", hint)
	}
}

// Info prints a message that only -v asks for.
func (c *Context) Info(format string, args ...any) {
	if c.Bool("verbose") {
		c.say("info", fmt.Sprintf(format, args...))
	}
}

// Given returns v for JSON, null where it does not apply.
func Given[T any](v T, ok bool) *T {
	if !ok {
		return nil
	}
	return &v
}

// JSON prints v as one line, which may stand on a terminal as well.
func (c *Context) JSON(v any) error {
	line, err := JSONText(v)
	if err == nil {
		c.Out.WriteString(line)
		c.Out.WriteByte('\n') // what Out could not write is said when it is flushed
	}
	return err
}

// JSONText is v in JSON that may stand on a terminal.
func JSONText(v any) (string, error) {
	var line, text bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	plain := strings.TrimSuffix(line.String(), "\n")
	// encoding/json leaves DEL and the C1 controls as they are. What is not ASCII
	// stands inside strings.
	if strings.IndexFunc(plain, func(r rune) bool { return r >= 0x7f }) < 0 {
		return plain, nil
	}
	for _, r := range plain {
		if r < 0x7f || strconv.IsPrint(r) {
			text.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&text, `\u%04x`, unit)
		}
	}
	return text.String(), nil
}

// Fancy tells whether colours and borders are wanted.
func (c *Context) Fancy() bool { return os.Getenv("NO_COLOR") == "" && Terminal() }

// Terminal tells whether stdout is one.
func Terminal() bool { return term.IsTerminal(int(os.Stdout.Fd())) }

// Several returns the error of a command that worked on count items of which
// some failed: the item's own where it was the only one, else exit code 1 with
// each error said. Each, however many: whoever asked for so much is told about all of
// it, and nothing else keeps what is not said here.
func (c *Context) Several(failed []error, count int) error {
	if count == 1 {
		return c.Last(failed)
	}
	for _, err := range failed {
		c.Error(err)
	}
	if len(failed) > 0 {
		return Quiet(fail.No)
	}
	return nil
}

// Last returns the last of errs, nil where there are none, with the others said, each
// for the reason given at Several.
func (c *Context) Last(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	last := len(errs) - 1
	for _, err := range errs[:last] {
		c.Error(err)
	}
	return errs[last]
}
