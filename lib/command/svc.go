package command

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/term"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/place"
	"hermes-s6/lib/profile"
)

// A verb is a command of hermes-svc.
type verb struct {
	name    string
	desired string // the intent that is recorded
	do      func(manager.ServiceManager, []string, manager.Options) []manager.Outcome
}

var verbs = []verb{
	{"start", profile.Running, manager.ServiceManager.Start},
	{"stop", profile.Stopped, manager.ServiceManager.Stop},
	{"restart", profile.Running, manager.ServiceManager.Restart},
}

func verbOf(name string) *verb {
	for i := range verbs {
		if verbs[i].name == name {
			return &verbs[i]
		}
	}
	return nil
}

// Svc is hermes-svc.
func Svc(args []string) int {
	// The verb precedes the options.
	var v *verb
	if len(args) > 1 {
		if v = verbOf(args[1]); v != nil {
			args = slices.Delete(slices.Clone(args), 1, 2)
		}
	}
	return cli.Main(&cli.Command{
		Name:     "hermes-svc",
		Verb:     "start|stop|restart",
		Summary:  "start, stop or restart gateways",
		Operands: "PROFILE... | --all",
		Text: `Uses the service manager in charge: s6, systemd (the user's, or the system's with
--system), launchd or the Windows task scheduler. Records the desired state in the
profile: running or stopped. The desired state counts when a container starts, and the
other containers that share the home obey it.

restart waits until the gateway is up with a new pid. start and stop wait with --wait.
start and restart with --ready wait until the gateway reports that it is ready.

Under s6, a profile that is not registered is registered first. A gateway that does not
stop while the command waits for it is killed, and a warning says so.`,
		Flags: place.Flags(
			cli.Bool("act on every registered gateway", "all"),
			cli.Bool("wait until the gateways are up (ready, if they notify s6) or down", "wait"),
			readyFlag(),
			systemFlag(),
			cli.TimeoutFlag(),
		),
		Variables: append(svcVariables(), drainVariable),
		Run:       place.Run(func(c *place.Context) error { return svc(c, v) }),
	}, args)
}

func svc(c *place.Context, v *verb) error {
	if v == nil {
		return cli.TryHelp("give start, stop or restart first")
	}
	names, err := profilesOrAll(c)
	if err != nil {
		return err
	}
	timeout, err := c.Timeout()
	if err != nil {
		return err
	}
	drain, err := drainOf(c)
	if err != nil {
		return err
	}
	ready, err := readyOf(c, v)
	if err != nil {
		return err
	}
	m, err := managerOf(c)
	if err != nil {
		return err
	}
	defer m.Close()
	if c.Bool("all") {
		names, err = m.List()
		if err != nil {
			return err
		}
		if !m.SupportsRegistration() {
			kind, _ := c.Manager()
			c.Warn("%v", fail.Hint(fmt.Errorf("--all: service manager %s has no list of gateways, so nothing is done", kind), "name the profiles"))
		}
	}
	names = unique(names)
	i := newIntent(c, v.desired)
	defer i.home.Close()
	outcomes := v.do(m, names, manager.Options{
		Wait: ready || c.Bool("wait"), Ready: ready, Timeout: timeout, Drain: drain, Intent: i, Progress: progress(),
	})
	return reportOutcomes(c, outcomes)
}

// drainVariable is about gateways with active agents.
var drainVariable = cli.Variable{Name: "HERMES_DRAIN_TIMEOUT", Usage: "milliseconds for a gateway with active agents to stop, unless --timeout is given (60000)"}

// drainOf returns how long a gateway that waits for its agents gets. It is 0 if --timeout was
// given, which then applies to such a gateway as well.
func drainOf(c *place.Context) (time.Duration, error) {
	drain, err := cli.Milliseconds(drainVariable.Name, cmp.Or(os.Getenv(drainVariable.Name), "60000"))
	if c.IsSet("timeout") {
		drain = 0
	}
	return drain, err
}

// profilesOrAll returns the profiles that the operands name, none with --all.
func profilesOrAll(c *place.Context) ([]string, error) {
	names := c.Args
	if c.Bool("all") == (len(names) > 0) {
		return nil, cli.TryHelp("give PROFILE... or --all; options come first")
	}
	return names, checkNames(names)
}

// checkNames refuses invalid profile names.
func checkNames(names []string) error {
	for _, name := range names {
		if err := profile.CheckName(name); err != nil {
			return err
		}
	}
	return nil
}

// unique returns names without repetitions, in order.
func unique(names []string) []string {
	var once []string
	for _, n := range names {
		if !slices.Contains(once, n) {
			once = append(once, n)
		}
	}
	return once
}

// managerOf returns the service manager in charge.
func managerOf(c *place.Context) (manager.ServiceManager, error) {
	kind, err := c.Manager()
	if err != nil {
		return nil, err
	}
	if kind == manager.S6 && !c.Bool("system") {
		return s6Manager(c)
	}
	return hostManager(c, kind)
}

// hostManager returns the service manager of a host.
func hostManager(c *place.Context, kind manager.Kind) (manager.ServiceManager, error) {
	if c.Bool("system") && kind != manager.Systemd {
		return nil, fail.Errorf(fail.Usage, "--system works only with systemd, and the service manager is %s", kind)
	}
	return manager.Native(kind, c.Bool("system"))
}

// progress shows the progress of waiting on a terminal. It returns nil without one.
func progress() func(done, total int) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	shown := time.Now()
	return func(done, total int) {
		if total < 2 || done < total && time.Since(shown) < 100*time.Millisecond {
			return
		}
		shown = time.Now()
		fmt.Fprintf(os.Stderr, "\r%d of %d", done, total)
		if done == total {
			fmt.Fprint(os.Stderr, "\r\x1b[K")
		}
	}
}

func reportOutcomes(c *place.Context, outcomes []manager.Outcome) error {
	return report(c, outcomes, "gateway '%s': it did not end in time: killed %s", func(o manager.Outcome) any {
		return struct {
			Name   string `json:"name"`
			Action string `json:"action"`
			PID    *int   `json:"pid"`
			Killed bool   `json:"killed"`
		}{o.Name, o.Action, cli.Given(o.PID, o.PID != 0), o.Killed != ""}
	})
}

// failed is the action of an outcome with an error.
const failed = "failed"

// report prints what became of gateways. killed is the format of a warning about what had to
// be killed; object returns what --json prints.
func report(c *place.Context, outcomes []manager.Outcome, killed string, object func(manager.Outcome) any) error {
	var errs []error
	for _, o := range outcomes {
		if o.Killed != "" {
			c.Warn(killed, o.Name, o.Killed)
		}
		if o.Err != nil {
			o.Action = failed
			errs = append(errs, o.Err)
		}
		if o.StandsBy != "" {
			c.Warn("gateway '%s' stands by: it runs elsewhere: %s", o.Name, o.StandsBy)
		}
		c.Info("gateway '%s': %s", o.Name, o.Action)
		if c.Bool("json") {
			if err := c.JSON(object(o)); err != nil {
				return err
			}
		}
	}
	return c.Several(errs, len(outcomes))
}

// An intent is the manager.Intent of a home: it records in profiles what the operator wants of
// gateways.
type intent struct {
	*place.Context
	home     *profile.Home // nil if there is none
	desired  string
	recorded sync.Map // by name; a failure is reported once
}

func newIntent(c *place.Context, desired string) *intent {
	i := &intent{Context: c, desired: desired}
	var err error
	if i.home, err = c.OpenHome(); err != nil {
		say := c.Warn
		if errors.Is(err, fs.ErrNotExist) && !c.HomeNamed() {
			say = c.Info // not a container: no one said where the home is
		}
		say("intent not recorded: %v", err)
	}
	return i
}

// Record implements manager.Intent.
func (i *intent) Record(name string) {
	if i.home == nil {
		return
	}
	if err := i.home.Intend(name, i.desired, time.Now()); err != nil {
		i.Warn("profile %s: intent not recorded: %v", name, err)
		return
	}
	i.recorded.Store(name, true)
}

// Confirm implements manager.Intent.
func (i *intent) Confirm(name string) {
	if _, ok := i.recorded.Load(name); ok && i.home.DesiredState(name) != i.desired {
		i.Record(name)
	}
}

// PlanStop implements manager.Intent.
func (i *intent) PlanStop(name string, pid int) {
	if i.home == nil {
		return
	}
	if err := i.home.PlanStop(name, profile.TargetOf(pid), time.Now()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		i.Warn("profile %s: planned-stop marker not written: %v", name, err)
	}
}
