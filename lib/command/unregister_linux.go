package command

import (
	"errors"
	"io/fs"
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/place"
	"hermes-s6/lib/slot"
)

// Unregister is hermes-svc-unregister.
func Unregister(args []string) int {
	return cli.Main(&cli.Command{
		Name:     "hermes-svc-unregister",
		Summary:  "stop gateways and remove their service directories",
		Operands: "PROFILE... | --all",
		Text: `Returns when no process and no file of the service directories is left. The log
directories in the home stay. A gateway that does not stop in time is killed, and a
warning says so. A profile that is not registered is no error.`,
		Flags: place.Flags(
			cli.Bool("unregister every gateway in the scan directory", "all"),
			cli.TimeoutFlag(),
		),
		Variables: []cli.Variable{place.ManagerVariable, registrarVariable},
		Run:       place.Run(unregister),
	}, args)
}

func unregister(c *place.Context) error {
	names, err := profilesOrAll(c)
	if err != nil {
		return err
	}
	timeout, err := c.Timeout()
	if err != nil {
		return err
	}
	if err := c.NeedS6(); err != nil {
		return err
	}
	outcomes, err := retire(c, names, timeout)
	if err != nil {
		return err
	}
	return reportRetired(c, outcomes)
}

// retire unregisters names, or all gateways if names is empty.
func retire(c *place.Context, names []string, timeout time.Duration) ([]manager.Outcome, error) {
	home, err := c.OpenHome()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	defer home.Close()
	scan, err := slot.Open(c.Tree())
	if errors.Is(err, fs.ErrNotExist) {
		// In a scan directory that does not exist nothing is registered. But that does not
		// mean that a record is useless.
		absent := make([]manager.Outcome, len(names))
		for i, name := range names {
			absent[i] = manager.Outcome{Name: name, Action: manager.Absent}
		}
		return absent, nil
	}
	if err != nil {
		return nil, err
	}
	defer scan.Close()
	m := newManager(c, scan)
	m.Home = home
	if c.Bool("all") {
		if names, err = m.List(); err != nil {
			return nil, err
		}
	}
	return m.Unregister(names, timeout)
}

func reportRetired(c *place.Context, outcomes []manager.Outcome) error {
	return report(c, outcomes, "profile %s: killed %s", func(o manager.Outcome) any {
		return struct {
			Name   string `json:"name"`
			Action string `json:"action"`
			Killed bool   `json:"killed"`
		}{o.Name, o.Action, o.Killed != ""}
	})
}
