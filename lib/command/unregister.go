package command

import (
	"errors"
	"io/fs"
	"time"

	clilib "github.com/urfave/cli/v2"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/slot"
)

// Unregister is hermes-svc-unregister.
func Unregister(args []string) int {
	return cli.Main(&cli.Command{
		Name:     "hermes-svc-unregister",
		Summary:  "stop gateways and remove their slots",
		Operands: "PROFILE... | --all",
		Text: `Returns when no process and no file of a slot is left; the log directory in the
home stays. A gateway that has not stopped in time is killed, which is said. A
profile that is not registered is no error.`,
		Flags: []clilib.Flag{
			&clilib.BoolFlag{Name: "all", Usage: "every gateway in the scan directory"},
			cli.TimeoutFlag,
		},
		Run: unregister,
	}, args)
}

func unregister(c *cli.Context) error {
	names := c.Args().Slice()
	if c.Bool("all") == (len(names) > 0) {
		return fail.Errorf(fail.Usage, "name profiles, or --all, and options before them; try --help")
	}
	for _, name := range names {
		if err := profile.CheckName(name); err != nil {
			return err
		}
	}
	timeout, err := c.Timeout()
	if err != nil {
		return err
	}
	if err := c.NeedS6(); err != nil {
		return err
	}
	home, err := c.OpenHome()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer home.Close()
	retired, err := retire(c, names, timeout, home)
	if err != nil {
		return err
	}
	return reportRetired(c, retired)
}

// retire removes the slots of names, of all where there are none, and what is
// on record of them in home, which may be nil.
func retire(c *cli.Context, names []string, timeout time.Duration, home *profile.Home) ([]slot.Retired, error) {
	scan, err := slot.Open(c.Tree())
	if errors.Is(err, fs.ErrNotExist) {
		// Nothing is registered in a scan directory that is not there. Nor
		// is it known that a record is good for nothing.
		absent := make([]slot.Retired, len(names))
		for i, name := range names {
			absent[i].Profile = name
		}
		return absent, nil
	}
	if err != nil {
		return nil, err
	}
	defer scan.Close()
	for _, err := range scan.Sweep() {
		c.Warn("leftover of a killed run: %v", err)
	}
	if c.Bool("all") {
		if names, err = scan.Profiles(); err != nil {
			return nil, err
		}
	}
	there, err := scan.AnyExist(names)
	if err != nil {
		return nil, err
	}
	if there {
		if _, err := scan.Programs.Path("s6-svscanctl"); err != nil {
			return nil, err
		}
	}
	return scan.Retire(names, timeout, func(name string) error {
		if home == nil {
			return nil
		}
		if err := home.Forget(name); err != nil {
			return fail.Errorf(fail.System, "profile %s: it has no slot any more, but its record stays: %w", name, err)
		}
		return nil
	}), nil
}

func reportRetired(c *cli.Context, retired []slot.Retired) error {
	var failed []error
	for _, r := range retired {
		if r.Killed != "" {
			c.Warn("profile %s: killed %s", r.Profile, r.Killed)
		}
		action := "absent"
		switch {
		case r.Err != nil:
			action = "failed"
			failed = append(failed, r.Err)
		case r.Found:
			action = "removed"
		}
		c.Info("profile %s: %s", r.Profile, action)
		if c.Bool("json") {
			if err := c.JSON(struct {
				Name   string `json:"name"`
				Action string `json:"action"`
				Killed bool   `json:"killed"`
			}{r.Profile, action, r.Killed != ""}); err != nil {
				return err
			}
		}
	}
	return c.Several(failed, len(retired))
}
