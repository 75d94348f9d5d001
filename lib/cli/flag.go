package cli

import (
	"flag"
	"strings"

	"github.com/urfave/cli/v2"
)

// A flagged is a flag whose names are known. The library takes them from one
// string by a regular expression, each time that it compares any flag with any
// other: half of what a short command costs.
type flagged struct {
	documented
	names []string
}

// documented is what all flags of the library are.
type documented interface {
	cli.Flag
	cli.DocGenerationFlag
	cli.VisibleFlag
}

// known wraps flags in flagged.
func known(flags []cli.Flag) []cli.Flag {
	all := make([]cli.Flag, len(flags))
	for i, f := range flags {
		all[i] = &flagged{f.(documented), namesOf(f)}
	}
	return all
}

// isString tells whether f, one of known's, has one string for a value.
func isString(f cli.Flag) bool {
	k, ok := f.(*flagged)
	if ok {
		_, ok = k.documented.(*cli.StringFlag)
	}
	return ok
}

func namesOf(f cli.Flag) []string {
	switch f := f.(type) {
	case *cli.StringFlag:
		return append([]string{f.Name}, f.Aliases...)
	case *cli.BoolFlag:
		return append([]string{f.Name}, f.Aliases...)
	case *cli.GenericFlag:
		return append([]string{f.Name}, f.Aliases...)
	}
	return f.Names()
}

// Apply implements cli.Flag.
func (f *flagged) Apply(set *flag.FlagSet) error {
	switch inner := f.documented.(type) {
	case *cli.StringFlag:
		for _, n := range f.names {
			set.String(n, inner.Value, "")
		}
	case *cli.BoolFlag:
		for _, n := range f.names {
			set.Bool(n, inner.Value, "")
		}
	case *cli.GenericFlag:
		for _, n := range f.names {
			set.Var(inner.Value, n, "")
		}
	default:
		return f.documented.Apply(set)
	}
	return nil
}

// Names implements cli.Flag.
func (f *flagged) Names() []string { return f.names }

// String implements fmt.Stringer: the flag's line of --help, which is its names,
// what its value is called and the text, without the library's remarks on defaults.
func (f *flagged) String() string {
	names := ""
	for _, n := range f.names {
		dashes := "--"
		if len(n) == 1 {
			dashes = "-"
		}
		names += ", " + dashes + n
	}
	usage, value := f.GetUsage(), ""
	if before, rest, ok := strings.Cut(usage, "`"); ok {
		var after string
		value, after, _ = strings.Cut(rest, "`")
		usage = before + value + after
		value = " " + value
	}
	return names[2:] + value + "\t" + usage
}
