package command

import (
	"cmp"
	"errors"
	"os"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/gateway"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/place"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// registrarVariable names the socket of the registrar, which does what only root may do.
var registrarVariable = cli.Variable{Name: "HERMES_REGISTRAR", Usage: "socket of the registrar service (" + gateway.RegistrarSocket + ")"}

// scriptVariables are the variables that commonOf uses for the scripts of slots.
var scriptVariables = []cli.Variable{
	{Name: "HERMES_CONTENV", Usage: "program that loads the container's environment, or none (/command/with-contenv if it exists)"},
	{Name: "HERMES_CRASH_LIMIT", Usage: "DEATHS/SECONDS after which a gateway is not restarted, 0 for no limit (" + script.DefaultCrashLimit + ")"},
	{Name: "HERMES_GATEWAY_PORT_ENV", Usage: "name of a second variable for the gateway's port, besides HERMES_GATEWAY_PORT"},
}

// svcVariables are the variables of the commands that make a slot, or ask for one.
func svcVariables() []cli.Variable {
	return append([]cli.Variable{place.ManagerVariable, registrarVariable}, scriptVariables...)
}

// commonOf gathers what all slots of this run have in common: options, the environment, and
// the paths of programs for slots in dialect.
func commonOf(c *place.Context, dialect profile.Dialect) (*script.Common, error) {
	common := &script.Common{ScanDir: slot.ScanPath(c.Tree().ScanDir), PortEnv: os.Getenv("HERMES_GATEWAY_PORT_ENV")}
	var err error
	if common.Account, err = c.Account(); err != nil {
		return nil, err
	}
	if common.Home, err = c.HomePath(); err != nil {
		return nil, err
	}
	if common.Contenv, err = script.FindContenv(os.Getenv("HERMES_CONTENV")); err != nil {
		return nil, err
	}
	if common.PortEnv != "" {
		if err := profile.CheckKey(common.PortEnv); err != nil {
			return nil, fail.Errorf(fail.Usage, "HERMES_GATEWAY_PORT_ENV: %w", err)
		}
	}
	limit := os.Getenv("HERMES_CRASH_LIMIT")
	if limit == "" {
		limit = script.DefaultCrashLimit
	}
	if common.Deaths, common.Seconds, err = script.ParseCrashLimit(limit); err != nil {
		return nil, err
	}
	common.Paths, err = script.FindPaths(c.Programs(), dialect)
	return common, err
}

// commonsOf is commonOf for several dialects. It gathers each only once.
func commonsOf(c *place.Context) func(profile.Dialect) (*script.Common, error) {
	commons := map[profile.Dialect]*script.Common{}
	return func(dialect profile.Dialect) (*script.Common, error) {
		if commons[dialect] == nil {
			common, err := commonOf(c, dialect)
			if err != nil {
				return nil, err
			}
			commons[dialect] = common
		}
		return commons[dialect], nil
	}
}

// openManager opens the scan directory and the home under the s6 in charge, after it has made
// sure that a slot in dialect can be made here.
func openManager(c *place.Context, dialect profile.Dialect) (*gateway.Manager, error) {
	// Check s6 first: without slots, the programs for them may well be missing.
	if err := c.NeedS6(); err != nil {
		return nil, err
	}
	commons := commonsOf(c)
	if _, err := commons(dialect); err != nil {
		return nil, err
	}
	m, err := openWithoutHome(c, commons)
	if err == nil {
		if m.Home, err = c.OpenHome(); err != nil {
			m.Close()
		}
	}
	return m, err
}

// openWithoutHome is openManager for commands that work without a home, and may never make a slot.
func openWithoutHome(c *place.Context, commons func(profile.Dialect) (*script.Common, error)) (*gateway.Manager, error) {
	if err := c.NeedS6(); err != nil {
		return nil, err
	}
	tree := c.Tree()
	if _, err := tree.Programs.Path("s6-svscanctl"); err != nil {
		return nil, err
	}
	scan, err := slot.Open(tree)
	if err != nil {
		return nil, err
	}
	m := newManager(c, scan)
	m.Common = commons
	return m, nil
}

var errExposed = fail.Hint(errors.New("others than root may write there, and so have root run any program"), "make it root's, mode 0755")

// newManager returns the service manager of scan. An account that may not write there asks the
// registrar. If root may not, for example on a read-only file system, that is for root to solve.
func newManager(c *place.Context, scan *slot.ScanDir) *gateway.Manager {
	m := &gateway.Manager{ScanDir: scan, Warn: c.Warn, Info: c.Info}
	if scan.Exposed() {
		c.Warn("scan directory %s: %v", scan.ScanDir, errExposed)
	}
	if os.Geteuid() != 0 && !scan.Writable() {
		m.Registrar = &gateway.Registrar{
			Socket: cmp.Or(os.Getenv("HERMES_REGISTRAR"), gateway.RegistrarSocket), Programs: scan.Programs, Refused: c.Elsewhere(),
		}
	}
	return m
}

// s6Manager is for hermes-svc, which reports itself what it cannot do without a home.
func s6Manager(c *place.Context) (manager.ServiceManager, error) {
	m, err := openWithoutHome(c, commonsOf(c))
	if err != nil {
		return nil, err // a nil *Manager would be a non-nil ServiceManager
	}
	m.Home, m.HomeErr = c.OpenHome()
	return m, nil
}
