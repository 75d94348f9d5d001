package cli

import (
	"flag"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// A Flag is one option of a command, with the values given for it. The library's own flags do
// not fit: it extracts their names from one string with a regular expression, whenever it
// compares any flag with another (half the cost of a short command), and in its error messages
// every option is called -o.
type Flag struct {
	names    []string
	usage    string // the part between backquotes is the value's name
	fallback string // the default value
	bare     bool   // it takes no value; its value is true or false
	more     string // for a bare option, another possible value
	given    []string
	err      error // what is wrong with a value
}

// String returns an option that takes a value. If it is repeated, the last one counts.
func String(name, fallback, usage string) *Flag {
	return &Flag{names: []string{name}, fallback: fallback, usage: usage}
}

// List returns an option of which every value counts. No value is split or trimmed.
func List(name, usage string) *Flag { return String(name, "", usage) }

// Bool returns an option without a value. It is looked up by the first of its names.
func Bool(usage string, names ...string) *Flag {
	return &Flag{names: names, usage: usage, bare: true}
}

// More returns an option that needs no value, but can have one: --name=more.
func More(usage, name, more string) *Flag {
	return &Flag{names: []string{name}, usage: usage, bare: true, more: more}
}

// Names implements the library's Flag, as do the next four.
func (f *Flag) Names() []string { return f.names[:1] } // the library need not know the others

// IsSet reports whether f was given.
func (f *Flag) IsSet() bool { return len(f.given) > 0 }

// IsVisible makes f appear in --help.
func (f *Flag) IsVisible() bool { return true }

// Apply defines f in set.
func (f *Flag) Apply(set *flag.FlagSet) error {
	for _, n := range f.names {
		set.Var((*value)(f), n, "")
	}
	return nil
}

// String returns f's line of --help: its names, its value's name, the text.
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

// dashed returns the option name with its dashes.
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

// A value is a Flag in the form that package flag sets.
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

// library returns all in the library's type.
func (all flags) library() []cli.Flag {
	each := make([]cli.Flag, len(all))
	for i, f := range all {
		each[i] = f
	}
	return each
}

// find returns the option called name, or nil if there is none.
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

// wrong returns what is wrong with args, which package flag has rejected. It examines args
// itself, because that package's errors contain values.
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
