package command

import (
	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/place"
	"hermes-s6/lib/profile"
)

// readyFlag is --ready for the commands that wait.
func readyFlag() *cli.Flag {
	return cli.Bool("wait until the gateway reports that it is ready", "ready")
}

// readyOf reports whether verb v is to wait for readiness, which only s6 supports.
func readyOf(c *place.Context, v *verb) (bool, error) {
	if !c.Bool("ready") {
		return false, nil
	}
	if v.desired == profile.Stopped {
		return false, fail.Errorf(fail.Usage, "stop and --ready: mutually exclusive")
	}
	kind, err := c.Manager()
	if err == nil && kind != manager.S6 && kind != manager.None {
		err = fail.Errorf(fail.Unsupported, "--ready: service manager %s cannot tell when a gateway is ready", kind)
	}
	return true, err
}
