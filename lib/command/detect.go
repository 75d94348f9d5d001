// Package command contains the binaries of the suite, one file each: their options, and the
// straight line from those to the work of the other packages.
package command

import (
	"fmt"
	"slices"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/place"
)

// Detect is hermes-detect.
func Detect(args []string) int {
	return cli.Main(&cli.Command{
		Name:    "hermes-detect",
		Summary: "tell which service manager is in charge here",
		Text: `Prints s6, systemd, launchd, windows or none. Exits 1 for none. It needs no
privileges: a file that it cannot read counts as absent.

s6 is in charge if process 1 is s6-svscan and /run/s6/basedir is a directory.
systemd is in charge if /run/systemd/system is a directory and systemctl exists.
--json shows what was found for each service manager.`,
		Flags: place.Flags(
			cli.String("root", "/", "look below `DIR` instead of /"),
			cli.String("is", "", "print nothing; exit 0 if `KIND` is in charge, else 1"),
		),
		Run: place.Run(detect),
	}, args)
}

func detect(c *place.Context) error {
	if len(c.Args) > 0 {
		return cli.TryHelp("unexpected operand %q", c.Args[0])
	}
	is := manager.Kind(c.String("is"))
	switch {
	case c.IsSet("is") && !slices.Contains(manager.Kinds, is):
		return fail.Errorf(fail.Usage, "invalid kind %q: must be one of %v", is, manager.Kinds)
	case c.IsSet("is") && c.Bool("json"):
		return fail.Errorf(fail.Usage, "--is and --json: mutually exclusive")
	}
	var kind manager.Kind
	var err error
	if c.Bool("json") {
		evidence := manager.Examine(c.String("root"))
		kind = evidence.Kind()
		err = c.JSON(struct {
			Kind     manager.Kind     `json:"kind"`
			Evidence manager.Evidence `json:"evidence"`
		}{kind, evidence})
	} else {
		kind = manager.Detect(c.String("root"))
		switch {
		case is == "":
			_, err = fmt.Fprintln(c.Out, kind)
		case is != kind:
			return cli.Quiet(fail.No)
		default:
			return nil
		}
	}
	if err == nil && kind == manager.None {
		err = cli.Quiet(fail.No)
	}
	return err
}
