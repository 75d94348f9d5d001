package command

import (
	"os"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/slot"
)

// hostOf gathers what all slots of this run have in common: options, the
// environment, where programs are for slots in dialect.
func hostOf(c *cli.Context, dialect profile.Dialect) (*slot.Host, error) {
	h := &slot.Host{PortEnv: os.Getenv("HERMES_GATEWAY_PORT_ENV")}
	var err error
	if h.Account, err = c.Account(); err != nil {
		return nil, err
	}
	if h.Home, err = c.HomePath(); err != nil {
		return nil, err
	}
	if h.Contenv, err = slot.FindContenv(os.Getenv("HERMES_CONTENV")); err != nil {
		return nil, err
	}
	if h.PortEnv != "" {
		if err := profile.CheckKey(h.PortEnv); err != nil {
			return nil, fail.Errorf(fail.Usage, "HERMES_GATEWAY_PORT_ENV: %w", err)
		}
	}
	limit := os.Getenv("HERMES_CRASH_LIMIT")
	if limit == "" {
		limit = slot.DefaultCrashLimit
	}
	if h.Deaths, h.Seconds, err = slot.ParseCrashLimit(limit); err != nil {
		return nil, err
	}
	h.Paths, err = slot.FindPaths(c.Programs(), dialect)
	return h, err
}
