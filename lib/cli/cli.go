// Package cli knows the conventions that all binaries of the suite share: options and their
// environment variables, messages, output and exit codes. A binary is a Command. What it does
// is not known here.
//
// The rules are:
//   - stdout carries results only; a failed write is an error like any other.
//   - Each message is one line on stderr, NAME: LEVEL: WHAT: WHY.
//   - A flag beats its variable, an empty variable counts as unset, and an empty value of
//     a flag is wrong usage.
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

// Version is what --version prints. The build sets it.
var Version = "devel"

// A Command is one binary of the suite.
type Command struct {
	Name     string
	Summary  string // one line, lower case, no full stop
	Verb     string // precedes the options in the usage line
	Operands string // for the usage line
	Text     string // the rest of --help
	Flags    []*Flag
	// Variables are the environment variables that the command reads besides the options'.
	Variables []Variable
	// Bare commands have no common options except --help.
	Bare bool
	Run  func(*Context) error
}

// A Variable is an environment variable, for --help.
type Variable struct{ Name, Usage string }

// A Context is one run of a Command: its options, its output, its messages.
type Context struct {
	Args  []string      // the operands
	Out   *bufio.Writer // stdout, flushed after Run has returned
	flags flags
	name  string
	errs  io.Writer
	umask int // at our start
	// hinted is the last hint that was printed.
	hinted atomic.Pointer[string]
}

// Main runs cmd with args, the first of which is the program's name, and returns the exit code.
func Main(cmd *Command, args []string) int {
	return int(cmd.run(clearUmask(), args, os.Stdout, os.Stderr))
}

func (cmd *Command) run(umask int, args []string, stdout, stderr io.Writer) fail.Code {
	// The library's own --help treats operands as topics, and its --version has -v.
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
		Compiled:              time.Unix(0, 0), // otherwise the library asks the file system
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
	// A "no" that was not delivered is not a "no".
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

// TryHelp returns a usage error about which --help says more.
func TryHelp(format string, args ...any) error {
	return fail.Hint(fail.Errorf(fail.Usage, format, args...), "try --help")
}

// Quiet returns an error that makes the process exit with code and print nothing: the answer
// is no, or the messages were already printed.
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

// say prints one line, whatever text contains. A name, or the output of a program, may contain
// a newline, which would make two messages, or an escape sequence.
func (c *Context) say(level, text string) {
	fmt.Fprintf(c.errs, "%s: %s: %s\n", c.name, level, Printable(text))
}

// Printable returns s as it may be printed on a terminal. It has a space for each character
// that moves, hides or reorders others there, including C1 controls, and U+FFFD for each byte
// that is not UTF-8, which a terminal may take for a C1 control.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// Excerpt returns at most n bytes of s, on one printable line. The result does not keep s,
// which may be long, in memory.
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

// Warn prints a warning, and the hint of an error among args.
func (c *Context) Warn(format string, args ...any) {
	c.say("warning", fmt.Sprintf(format, args...))
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			c.hintOf(err)
		}
	}
}

// hintOf prints the hint of err. For several errors in a row with the same hint it prints the
// hint only once, after the first.
func (c *Context) hintOf(err error) {
	hint := fail.HintOf(err)
	if last := c.hinted.Swap(&hint); hint != "" && (last == nil || *last != hint) {
		c.say("hint", hint)
	}
}

// Info prints a message if -v is given.
func (c *Context) Info(format string, args ...any) {
	if c.Bool("verbose") {
		c.say("info", fmt.Sprintf(format, args...))
	}
}

// Given returns v for JSON, null if it does not apply.
func Given[T any](v T, ok bool) *T {
	if !ok {
		return nil
	}
	return &v
}

// JSON prints v as one line that may be printed on a terminal.
func (c *Context) JSON(v any) error {
	line, err := JSONText(v)
	if err == nil {
		c.Out.WriteString(line)
		c.Out.WriteByte('\n') // a write error is reported by Flush
	}
	return err
}

// JSONText returns v as JSON that may be printed on a terminal.
func JSONText(v any) (string, error) {
	var line, text bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	plain := strings.TrimSuffix(line.String(), "\n")
	// encoding/json does not escape DEL and the C1 controls. Only strings contain non-ASCII
	// characters.
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

// Fancy reports whether colours and borders are wanted.
func (c *Context) Fancy() bool { return os.Getenv("NO_COLOR") == "" && Terminal() }

// Terminal reports whether stdout is a terminal.
func Terminal() bool { return term.IsTerminal(int(os.Stdout.Fd())) }

// Several returns the error of a command that worked on count items, some of which failed. If
// there was only one item, that is its own error, else exit code 1 after printing every error.
// It prints them all, however many, because the caller asked for that many items, and an error
// that is not printed is lost.
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

// Last returns the last of errs, nil if there are none. It prints the others, for the reason
// given at Several.
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
