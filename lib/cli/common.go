package cli

import (
	"cmp"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/profile"
)

// An option that every binary has: a flag, its variable, its default.
type option struct{ flag, variable, fallback string }

var (
	scanDir  = option{"scandir", "S6_PROFILE_GATEWAY_SCANDIR", "/run/service"}
	homeDir  = option{"home", "HERMES_HOME", "/opt/data"}
	account  = option{"user", "HERMES_USER", "hermes"}
	programs = option{"s6-bindir", "HERMES_S6_BINDIR", ""}
)

func helpFlag() *Flag { return Bool("print this help and exit", "help", "h") }

// JSONFlag is --json for the commands that have no common options.
func JSONFlag() *Flag { return Bool("print JSON, one object a line", "json") }

func common() []*Flag {
	return []*Flag{
		String(scanDir.flag, "", "the scan directory `DIR` that s6-svscan watches (S6_PROFILE_GATEWAY_SCANDIR, /run/service)"),
		String(homeDir.flag, "", "the data root `DIR` (HERMES_HOME, /opt/data)"),
		String(account.flag, "", "the account `NAME` that gateways run as (HERMES_USER, hermes)"),
		String(programs.flag, "", "the `DIR` that s6's programs are in (HERMES_S6_BINDIR, /command where it exists, else PATH)"),
		JSONFlag(),
		helpFlag(),
		Bool("print info messages", "verbose", "v"),
	}
}

// TimeoutFlag is --timeout for the commands that wait.
func TimeoutFlag() *Flag { return timeoutFlag("0 for no limit") }

// AskedTimeoutFlag is TimeoutFlag where most milliseconds are the longest that is waited.
func AskedTimeoutFlag(most time.Duration) *Flag {
	return timeoutFlag(strconv.FormatInt(most.Milliseconds(), 10) + " at the most")
}

func timeoutFlag(bound string) *Flag {
	return String("timeout", "10000", "wait at most `MS` milliseconds, "+bound+" (10000)")
}

// ManagerVariable is what Manager heeds.
var ManagerVariable = Variable{"HERMES_SERVICE_MANAGER", "what is in charge, where it is not to be detected: s6, systemd, launchd, windows or none"}

// check refuses what is wrong whatever the command.
func (c *Context) check() error {
	if err := checkFiles(); err != nil {
		return err
	}
	// "$UNSET" is a mistake, and is not to mean all profiles, or the usual home.
	for _, f := range c.flags {
		if slices.Contains(f.given, "") {
			return fail.Errorf(fail.Usage, "%s: it is empty", dashed(f.names[0]))
		}
	}
	if c.named(account) {
		_, err := c.Account()
		return err
	}
	return nil
}

// IsSet tells whether the option called name was given.
func (c *Context) IsSet(name string) bool { f := c.flags.find(name); return f != nil && f.IsSet() }

// Bool tells whether the option called name is on.
func (c *Context) Bool(name string) bool { return c.String(name) == "true" }

// String returns the value of the option called name: the last one given, or its
// default, and "" where the command has no such option.
func (c *Context) String(name string) string {
	if f := c.flags.find(name); f != nil {
		return f.last()
	}
	return ""
}

// List returns each value that was given for the option called name, in order.
func (c *Context) List(name string) []string {
	if f := c.flags.find(name); f != nil {
		return f.given
	}
	return nil
}

// named tells whether o was given, by flag or variable.
func (c *Context) named(o option) bool { return c.IsSet(o.flag) || os.Getenv(o.variable) != "" }

func (c *Context) value(o option) string {
	if v := c.Value(o.flag, o.variable); v != "" {
		return v
	}
	return o.fallback
}

// Elsewhere is nil unless an option names another scan directory, home or account than
// the environment, which is the container's, and so that of its services as well.
func (c *Context) Elsewhere() error {
	for _, o := range []option{scanDir, homeDir, account} {
		usual := cmp.Or(os.Getenv(o.variable), o.fallback)
		if !c.IsSet(o.flag) || c.String(o.flag) == usual {
			continue
		}
		there, err := place(o, c.String(o.flag))
		if err != nil {
			return err
		}
		if here, err := place(o, usual); err != nil || there != here {
			return fail.Errorf(fail.System, "--%s: only root may choose it", o.flag)
		}
	}
	return nil
}

// place returns what value of o comes to.
func place(o option, value string) (string, error) {
	switch o {
	case homeDir:
		return profile.Root(value)
	case scanDir:
		return filepath.Abs(value)
	}
	return value, nil
}

// Value returns the value of flag, else of the environment variable.
func (c *Context) Value(flag, variable string) string {
	if c.IsSet(flag) {
		return c.String(flag)
	}
	return os.Getenv(variable)
}

// OpenHome opens the home. What we write there is to be the account's, which
// must exist only where it is asked for.
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

// HomeNamed tells whether somebody said where the home is.
func (c *Context) HomeNamed() bool { return c.named(homeDir) }

// HomePath returns the home's absolute path.
func (c *Context) HomePath() (string, error) { return profile.Root(c.value(homeDir)) }

// Account returns the account that gateways run as; exit code 100 where there
// is none of that name.
func (c *Context) Account() (profile.Account, error) {
	name := c.value(account)
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return profile.Account{}, fail.Errorf(fail.Usage, "account %q: it does not exist; name one with --user or HERMES_USER", name)
	}
	if err != nil {
		return profile.Account{}, fail.Errorf(fail.System, "account %q: %w", name, err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return profile.Account{Name: name, UID: uid, GID: gid, Home: u.HomeDir}, errors.Join(err1, err2)
}

// Timeout returns the value of TimeoutFlag, 0 for no limit.
func (c *Context) Timeout() (time.Duration, error) {
	return milliseconds("timeout", c.String("timeout"))
}

// DrainVariable is about gateways that have agents at work.
var DrainVariable = Variable{"HERMES_DRAIN_TIMEOUT", "where no --timeout is given, the milliseconds that a gateway gets which waits for agents at work (60000)"}

// Drain returns how long a gateway that waits for its agents gets; 0 where --timeout
// was given, which then is for such a gateway as well.
func (c *Context) Drain() (time.Duration, error) {
	drain, err := milliseconds(DrainVariable.Name, cmp.Or(os.Getenv(DrainVariable.Name), "60000"))
	if c.IsSet("timeout") {
		drain = 0
	}
	return drain, err
}

// milliseconds reads a duration, the value of what is called name.
func milliseconds(name, text string) (time.Duration, error) {
	const most uint64 = 1 << 31 // about 24 days; what is longer is a mistake
	ms, err := strconv.ParseUint(text, 10, 64)
	if err != nil || ms > most {
		return 0, fail.Errorf(fail.Usage, "invalid %s %q: it must be 0 to %d milliseconds", name, text, most)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Manager tells which service manager is in charge: the one that
// HERMES_SERVICE_MANAGER names, else the one detected, else s6 where a scan
// directory was named.
func (c *Context) Manager() (kind manager.Kind, err error) {
	if c.manager == "" {
		c.manager, err = c.findManager()
	}
	return c.manager, err
}

func (c *Context) findManager() (manager.Kind, error) {
	if v := manager.Kind(os.Getenv("HERMES_SERVICE_MANAGER")); v != "" {
		if !slices.Contains(manager.Kinds, v) {
			return "", fail.Errorf(fail.Usage, "invalid HERMES_SERVICE_MANAGER %q: it must be one of %v", v, manager.Kinds)
		}
		return v, nil
	}
	kind := manager.Detect("/")
	if kind == manager.None && c.named(scanDir) {
		kind = manager.S6
	}
	return kind, nil
}

// NeedS6 is nil where s6 is in charge, else an error with exit code 103.
func (c *Context) NeedS6() error {
	kind, err := c.Manager()
	if err != nil || kind == manager.S6 {
		return err
	}
	return manager.NoSlots(kind)
}

// Operand returns the only operand, a what.
func (c *Context) Operand(what string) (string, error) {
	if len(c.Args) != 1 {
		return "", fail.Errorf(fail.Usage, "one %s is needed, got %d operands; options come before operands, try --help", what, len(c.Args))
	}
	return c.Args[0], nil
}
