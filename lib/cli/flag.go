package cli

import (
	"flag"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// A Flag is one option of a command, with what was given for it. The library has
// flags of its own, but takes the names of those from one string by a regular
// expression, each time that it compares any flag with any other (half of what a
// short command costs), and their values are told of by texts in which every option
// is called -o.
type Flag struct {
	names    []string
	usage    string // what stands between backquotes in it is what the value is called
	fallback string // the value where none is given
	bare     bool   // it is there or not; a value is true or false
	more     string // of a bare one, what else its value can be
	given    []string
	err      error // what is wrong with a value
}

// String returns an option that takes a value, the last one where it is repeated.
func String(name, fallback, usage string) *Flag {
	return &Flag{names: []string{name}, fallback: fallback, usage: usage}
}

// List returns an option of which each value counts. None is split or trimmed.
func List(name, usage string) *Flag { return String(name, "", usage) }

// Bool returns an option without a value. The first of its names is the one that it
// is asked for by.
func Bool(usage string, names ...string) *Flag {
	return &Flag{names: names, usage: usage, bare: true}
}

// More returns an option that needs no value, and can have one, --name=more.
func More(usage, name, more string) *Flag {
	return &Flag{names: []string{name}, usage: usage, bare: true, more: more}
}

// Names implements the library's Flag, as do the next four.
func (f *Flag) Names() []string { return f.names[:1] } // the library need not know that there are others

// IsSet tells whether f was given.
func (f *Flag) IsSet() bool { return len(f.given) > 0 }

// IsVisible puts f into --help.
func (f *Flag) IsVisible() bool { return true }

// Apply makes f known to set.
func (f *Flag) Apply(set *flag.FlagSet) error {
	for _, n := range f.names {
		set.Var((*value)(f), n, "")
	}
	return nil
}

// String returns f's line of --help: its names, what its value is called, the text.
func (f *Flag) String() string {
	names := ""
	for _, n := range f.names {
		names += ", " + dashed(n)
	}
	if f.more != "" {
		names += names + "=" + f.more
	}
	before, rest, _ := strings.Cut(f.usage, "`")
	called, after, ok := strings.Cut(rest, "`")
	if ok {
		names += " " + called
	}
	return names[2:] + "\t" + before + called + after
}

// dashed returns option name as it is written.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// last returns the value that counts.
func (f *Flag) last() string {
	if len(f.given) == 0 {
		return f.fallback
	}
	return f.given[len(f.given)-1]
}

// A value is a Flag as what package flag fills.
type value Flag

func (v *value) String() string   { return "" }
func (v *value) IsBoolFlag() bool { return v.bare }

func (v *value) Set(s string) error {
	if v.bare && (v.more == "" || s != v.more) {
		on, err := strconv.ParseBool(s)
		if err != nil {
			must := "true or false"
			if v.more != "" {
				must = v.more + ", " + must
			}
			v.err = TryHelp("invalid boolean value %q for %s: must be %s", s, dashed(v.names[0]), must)
			return v.err
		}
		s = strconv.FormatBool(on)
	}
	v.given = append(v.given, s)
	return nil
}

// A flags is all options of a command.
type flags []*Flag

// library returns all as the library takes them.
func (all flags) library() []cli.Flag {
	each := make([]cli.Flag, len(all))
	for i, f := range all {
		each[i] = f
	}
	return each
}

// find returns the option called name, nil where there is none.
func (all flags) find(name string) *Flag {
	for _, f := range all {
		for _, n := range f.names {
			if n == name {
				return f
			}
		}
	}
	return nil
}

// wrong says what is wrong with args, which package flag does not take. It looks for
// itself: nothing is read out of that package's error, where values stand as well.
func (all flags) wrong(args []string) error {
	for i := 0; i < len(args); i++ {
		name, _, valued := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(args[i], "-"), "-"), "=")
		f := all.find(name)
		switch {
		case f == nil:
			return TryHelp("unknown option %s", dashed(name))
		case f.err != nil:
			return f.err
		case f.bare || valued:
		case i+1 == len(args):
			return TryHelp("option %s needs a value", dashed(name))
		default:
			i++
		}
	}
	return TryHelp("invalid options")
}
