// Package place knows where a command works: the scan directory, the home, the account, s6's
// programs, and the service manager in charge. All of it comes from options and variables that
// the commands share. The commands decide what is done there.
package place

import (
	"cmp"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/profile"
)

// An option says where something is: a flag, its variable, its default.
type option struct{ flag, variable, fallback string }

var (
	scanDir  = option{"scandir", "S6_PROFILE_GATEWAY_SCANDIR", "/run/service"}
	homeDir  = option{"home", "HERMES_HOME", "/opt/data"}
	account  = option{"user", "HERMES_USER", "hermes"}
	programs = option{"s6-bindir", "HERMES_S6_BINDIR", ""}
)

// Flags returns own and the flags that say where a command works.
func Flags(own ...*cli.Flag) []*cli.Flag {
	return append(own,
		cli.String(scanDir.flag, "", "use `DIR` as the scan directory (S6_PROFILE_GATEWAY_SCANDIR, /run/service)"),
		cli.String(homeDir.flag, "", "use `DIR` as the home, the data root (HERMES_HOME, /opt/data)"),
		cli.String(account.flag, "", "use `NAME` as the account that gateways run as (HERMES_USER, hermes)"),
		cli.String(programs.flag, "", "look for s6's programs in `DIR` (HERMES_S6_BINDIR, /command if it exists, else PATH)"),
	)
}

// ManagerVariable is the variable that Manager reads.
var ManagerVariable = cli.Variable{Name: "HERMES_SERVICE_MANAGER", Usage: "service manager to assume instead of detecting it: s6, systemd, launchd, windows or none"}

// A Context is one run of a command, with the place where it works. A Bare command has no
// flags for the place and takes it from the environment.
type Context struct {
	*cli.Context
	manager manager.Kind // what Manager found out, "" until then
}

// Run adapts run for cli.Command. A named account must exist, even if it is not needed.
func Run(run func(*Context) error) func(*cli.Context) error {
	return func(manners *cli.Context) error {
		c := &Context{Context: manners}
		if c.named(account) {
			if _, err := c.Account(); err != nil {
				return err
			}
		}
		return run(c)
	}
}

// Given returns the options that say where this command works, as they were given.
func (c *Context) Given() (options []string) {
	for _, o := range []option{scanDir, homeDir, account, programs} {
		if c.IsSet(o.flag) {
			options = append(options, "--"+o.flag, c.String(o.flag))
		}
	}
	return options
}

// named reports whether o was given, by flag or variable.
func (c *Context) named(o option) bool { return c.Value(o.flag, o.variable) != "" }

func (c *Context) value(o option) string { return cmp.Or(c.Value(o.flag, o.variable), o.fallback) }

// Elsewhere returns nil unless an option names another scan directory, home or account than
// the environment. The environment is the container's, and also that of its services.
func (c *Context) Elsewhere() error {
	for _, o := range []option{scanDir, homeDir, account} {
		usual := cmp.Or(os.Getenv(o.variable), o.fallback)
		if !c.IsSet(o.flag) || c.String(o.flag) == usual {
			continue
		}
		there, err := o.resolve(c.String(o.flag))
		if err != nil {
			return err
		}
		if here, err := o.resolve(usual); err != nil || there != here {
			return fail.Errorf(fail.System, "--%s: only root may choose it", o.flag)
		}
	}
	return nil
}

// resolve returns what value of o refers to.
func (o option) resolve(value string) (string, error) {
	switch o {
	case homeDir:
		return profile.Root(value)
	case scanDir:
		return filepath.Abs(value)
	}
	return value, nil
}

// OpenHome opens the home. The account owns what we write there. It must exist only if it was
// named.
func (c *Context) OpenHome() (*profile.Home, error) {
	root, err := c.HomePath()
	if err != nil {
		return nil, err
	}
	uid, gid := -1, -1
	if os.Geteuid() == 0 {
		a, err := c.Account()
		if err == nil {
			uid, gid = a.UID, a.GID
		}
	}
	return profile.OpenHome(root, uid, gid)
}

// HomeNamed reports whether the home was named.
func (c *Context) HomeNamed() bool { return c.named(homeDir) }

// HomePath returns the home's absolute path.
func (c *Context) HomePath() (string, error) { return profile.Root(c.value(homeDir)) }

// Account returns the account that gateways run as. It fails with exit code 100 if there is no
// account of that name.
func (c *Context) Account() (profile.Account, error) {
	name := c.value(account)
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return profile.Account{}, fail.Hint(fail.Errorf(fail.Usage, "account %q: no such account", name), "name one with --user or HERMES_USER")
	}
	if err != nil {
		return profile.Account{}, fail.Errorf(fail.System, "account %q: %w", name, err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return profile.Account{Name: name, UID: uid, GID: gid, Home: u.HomeDir}, errors.Join(err1, err2)
}

// Manager returns the service manager in charge: the one that HERMES_SERVICE_MANAGER names,
// else the detected one, else s6 if a scan directory was named.
func (c *Context) Manager() (kind manager.Kind, err error) {
	if c.manager == "" {
		c.manager, err = c.findManager()
	}
	return c.manager, err
}

func (c *Context) findManager() (manager.Kind, error) {
	if v := manager.Kind(os.Getenv(ManagerVariable.Name)); v != "" {
		if !slices.Contains(manager.Kinds, v) {
			return "", fail.Errorf(fail.Usage, "invalid %s %q: must be one of %v", ManagerVariable.Name, v, manager.Kinds)
		}
		return v, nil
	}
	kind := manager.Detect("/")
	if kind == manager.None && c.named(scanDir) {
		kind = manager.S6
	}
	return kind, nil
}

// NeedS6 returns an error with exit code 103 unless s6 is in charge.
func (c *Context) NeedS6() error {
	kind, err := c.Manager()
	if err != nil || kind == manager.S6 {
		return err
	}
	return manager.NoSlots(kind)
}
