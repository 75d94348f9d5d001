package cli

import (
	"os"
	"slices"
	"strconv"
	"time"

	"hermes-s6/lib/fail"
)

// This file is about the options that a run was given.

func helpFlag() *Flag { return Bool("print this help and exit", "help", "h") }

// JSONFlag is --json for Bare commands. All others have it.
func JSONFlag() *Flag { return Bool("print JSON, one object per line", "json") }

// TimeoutFlag is --timeout for the commands that wait.
func TimeoutFlag() *Flag { return timeoutFlag("0 for no limit") }

// BoundedTimeoutFlag is TimeoutFlag with a maximum.
func BoundedTimeoutFlag(most time.Duration) *Flag {
	return timeoutFlag("1 to " + strconv.FormatInt(most.Milliseconds(), 10))
}

func timeoutFlag(bound string) *Flag {
	return String("timeout", "10000", "wait at most `MS` milliseconds, "+bound+" (10000)")
}

// check refuses what is wrong for every command.
func (c *Context) check() error {
	if err := checkFiles(); err != nil {
		return err
	}
	// "$UNSET" is a mistake. It must not mean all items, or the default place.
	for _, f := range c.flags {
		if slices.Contains(f.given, "") {
			return fail.Errorf(fail.Usage, "option %s: empty value", dashed(f.names[0]))
		}
	}
	return nil
}

// IsSet reports whether the option called name was given.
func (c *Context) IsSet(name string) bool { f := c.flags.find(name); return f != nil && f.IsSet() }

// Bool reports whether the option called name is on.
func (c *Context) Bool(name string) bool { return c.String(name) == "true" }

// String returns the value of the option called name: the last one given, or its default. It
// returns "" if the command has no such option.
func (c *Context) String(name string) string {
	if f := c.flags.find(name); f != nil {
		return f.last()
	}
	return ""
}

// List returns all values that were given for the option called name, in order.
func (c *Context) List(name string) []string {
	if f := c.flags.find(name); f != nil {
		return f.given
	}
	return nil
}

// Value returns the value of flag, or else of the environment variable.
func (c *Context) Value(flag, variable string) string {
	if c.IsSet(flag) {
		return c.String(flag)
	}
	return os.Getenv(variable)
}

// Timeout returns the value of TimeoutFlag, 0 for no limit.
func (c *Context) Timeout() (time.Duration, error) {
	return Milliseconds("timeout", c.String("timeout"))
}

// Milliseconds parses a duration, the value of the option or variable called name.
func Milliseconds(name, text string) (time.Duration, error) {
	const most uint64 = 1 << 31 // about 24 days; a larger value is a mistake
	ms, err := strconv.ParseUint(text, 10, 64)
	if err != nil || ms > most {
		return 0, fail.Errorf(fail.Usage, "invalid %s %q: must be 0 to %d milliseconds", name, text, most)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Operand returns the only operand. what describes it in an error.
func (c *Context) Operand(what string) (string, error) {
	if len(c.Args) != 1 {
		return "", TryHelp("expected one %s, got %d operands; options come first", what, len(c.Args))
	}
	return c.Args[0], nil
}
