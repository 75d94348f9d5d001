package command

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/place"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/reconcile"
)

// Reconcile is hermes-reconcile.
func Reconcile(args []string) int {
	return cli.Main(&cli.Command{
		Name:    "hermes-reconcile",
		Summary: "make the service directories match the profiles",
		Text: `Registers the gateway of each profile that has no service directory, and starts it if
it ran before. Updates each service directory that differs from what it should be. The
root profile comes first, even on an empty home, then all others by name. A line per
profile on stdout and in HOME/logs/container-boot.log says what was done. If a profile
fails, the others are still done, and the exit code is 1.

A container started as a dashboard or another server supervises no gateways. A container
started as "gateway run" starts the root profile's gateway, or with -p NAME that of
NAME, unless a state is recorded for it. With --no-supervise no gateway is started.

If multiplex_profiles is true in HOME/config.yaml, at the top level or under gateway, the
root profile's gateway serves all profiles. The other gateways are then registered and
stay down, except standalone ones. The root profile's gateway starts if one of those that
stay down ran before. If the file is unclear, only the root profile's gateway starts.

With --follow, it stays and does the same for each profile that appears, changes or
disappears. It starts or stops a gateway when the desired state changes. SIGHUP makes it
check all profiles. It does not write to the boot log.`,
		Flags: place.Flags(
			cli.Bool("print what would be done, change nothing", "dry-run"),
			cli.Bool("unregister gateways whose profile is gone", "prune"),
			cli.String("profiles", "", "select profiles by `PATTERNS`: comma-separated globs, or none (HERMES_RECONCILE_PROFILES)"),
			cli.String("shard", "", "select share `I/N` of the profiles, I from 1 to N (HERMES_SHARD)"),
			cli.Bool("register the profiles of the other shares too, as stand-bys (HERMES_STANDBY)", "standby"),
			cli.Bool("stay, and act on each change in the home", "follow"),
			cli.String("notification-fd", "", "with --follow, write a newline to `FD` after the first pass"),
			cli.TimeoutFlag(),
		),
		Variables: slices.Concat([]cli.Variable{place.ManagerVariable}, scriptVariables, []cli.Variable{
			{Name: "HERMES_GATEWAY_NO_SUPERVISE", Usage: "if set, a container started as \"gateway run\" records no state"},
			{Name: "HERMES_GATEWAY_BOOTSTRAP_STATE", Usage: "running: start the root profile's gateway, unless a state is recorded"},
			intervalVariable, pruneVariable,
			{Name: "GATEWAY_MULTIPLEX_PROFILES", Usage: "true or false, overrides multiplex_profiles in config.yaml"},
			delayVariable,
		}),
		Run: place.Run(reconcileRun),
	}, args)
}

func reconcileRun(c *place.Context) error {
	// In a run of milliseconds, collecting garbage is not worth its cost. (This call stops the
	// world, so it is not for commands of one millisecond.)
	debug.SetGCPercent(200)
	if len(c.Args) > 0 {
		return cli.TryHelp("unexpected operand %q", c.Args[0])
	}
	if c.Bool("follow") {
		return follow(c)
	}
	plan, err := openPlan(c)
	if err != nil {
		return err
	}
	defer plan.Close()
	if err := prepare(c, plan); err != nil {
		return err
	}
	results, err := plan.Run()
	if e := reportReconciled(c, plan, results); err == nil {
		err = e
	}
	return err
}

// openPlan makes a plan from the options, for the present home and scan directory.
func openPlan(c *place.Context) (*reconcile.Plan, error) {
	plan, err := newPlan(c)
	if err != nil {
		return nil, err
	}
	plan.Manager, err = openManager(c, profile.Sh)
	return plan, err
}

// newPlan reads the options and their variables.
func newPlan(c *place.Context) (*reconcile.Plan, error) {
	timeout, err := c.Timeout()
	if err != nil {
		return nil, err
	}
	if _, err := standbyDelay(); err != nil {
		return nil, err // otherwise each gateway would find out by itself
	}
	standby, err := switchedOn(c.Bool("standby"), "HERMES_STANDBY")
	if err != nil {
		return nil, err
	}
	selection, err := reconcile.ParseSelection(
		c.Value("profiles", "HERMES_RECONCILE_PROFILES"), c.Value("shard", "HERMES_SHARD"), standby)
	if err != nil {
		return nil, err
	}
	return &reconcile.Plan{Select: selection, Standby: standby, Prune: c.Bool("prune"), DryRun: c.Bool("dry-run"), Timeout: timeout}, nil
}

// switchedOn reports whether a switch is on, by its flag or by variable.
func switchedOn(flag bool, variable string) (bool, error) {
	v := os.Getenv(variable)
	if flag || v == "" {
		return flag, nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		err = fail.Errorf(fail.Usage, "invalid %s %q: must be 1 or 0", variable, v)
	}
	return on, err
}

// prepare finds out what this container is for, and prepares plan for it.
func prepare(c *place.Context, plan *reconcile.Plan) error {
	container, err := makeReady(c, plan)
	if err != nil {
		return err
	}
	if os.Getenv("HERMES_GATEWAY_BOOTSTRAP_STATE") == profile.Running {
		bootstrap(c, plan, profile.Default)
	}
	if container.Kind == reconcile.Gateway && os.Getenv("HERMES_GATEWAY_NO_SUPERVISE") == "" {
		bootstrap(c, plan, container.Profile)
	}
	return nil
}

// makeReady is prepare for a container that has booted: the present record is the operator's.
func makeReady(c *place.Context, plan *reconcile.Plan) (reconcile.Container, error) {
	container, err := reconcile.FindContainer()
	if err != nil {
		return container, err
	}
	switch container.Kind {
	case reconcile.Server:
		c.Info("this container runs a dashboard or the like, and no gateways")
		plan.Select, _ = reconcile.ParseSelection("none", "", false)
	case reconcile.Unsupervised:
		c.Info("this container runs a gateway itself (--no-supervise), and no other")
		plan.NoStart = true
	}
	if plan.Multiplex, err = multiplex(c, plan.Home); err != nil {
		return container, err
	}
	if !plan.DryRun {
		plan.Sweep()
		// Loggers run as the account, which may not make the directory in root's home.
		if _, err := plan.Home.MakeLogDir(); err != nil {
			c.Warn("log directory: %v", err)
		}
	}
	return container, nil
}

// bootstrap records that profile name's gateway is to run, unless its record says something,
// or has a dry run assume so.
func bootstrap(c *place.Context, plan *reconcile.Plan, name string) {
	err := profile.CheckName(name)
	did := false
	switch {
	case err != nil:
	case plan.DryRun:
		did, err = plan.Home.Stateless(name)
	default:
		did, err = plan.Home.Bootstrap(name, time.Now())
	}
	switch {
	case err != nil:
		c.Warn("profile %q: its state could not be recorded as running: %v", name, err)
	case did && plan.DryRun:
		plan.Bootstrap = append(plan.Bootstrap, name)
	case did:
		c.Info("profile %q: recorded as running", name)
	}
}

// multiplex reports whether one gateway serves all profiles. If the configuration is unclear,
// it warns, and only the root profile's gateway starts: others might be started a second time.
// A configuration that cannot be read at all ends the run.
func multiplex(c *place.Context, home *profile.Home) (reconcile.Multiplexing, error) {
	const variable = "GATEWAY_MULTIPLEX_PROFILES"
	is := map[bool]reconcile.Multiplexing{true: reconcile.Multiplexed}
	switch v := strings.ToLower(os.Getenv(variable)); v {
	case "":
	case "yes", "on":
		return reconcile.Multiplexed, nil
	case "no", "off":
		return reconcile.Separate, nil
	default:
		on, err := strconv.ParseBool(v)
		if err != nil {
			return reconcile.Undecided, fail.Errorf(fail.Usage, "invalid %s %q: must be true or false", variable, v)
		}
		return is[on], nil
	}
	configured, err := home.Multiplex()
	if fail.Unread(err) {
		return reconcile.Undecided, fail.Hint(fail.Errorf(fail.System, "cannot tell whether one gateway serves all profiles: %w", err), "set %s=true or false", variable)
	}
	if err != nil {
		c.Warn("cannot tell whether one gateway serves all profiles, so only default's is started: %v", fail.Hint(err, "set %s=true or false", variable))
		return reconcile.Undecided, nil
	}
	return is[configured], nil
}

// mostSaid is how many failures, and how many warnings, a boot prints one by one. They go to
// the container's log, where operators look for the gateways' own lines. The boot log has all
// of them.
const mostSaid = 10

// reportReconciled prints the results and appends them to the boot log.
func reportReconciled(c *place.Context, plan *reconcile.Plan, results []reconcile.Result) error {
	var log bytes.Buffer
	stamp := time.Now().Format("2006-01-02T15:04:05-0700")
	var warnings, errs []error
	for _, r := range results {
		fmt.Fprintf(&log, "%s %s", stamp, r.Line())
		if r.Warning != nil {
			warnings = append(warnings, fmt.Errorf("profile %q: %w", r.Profile, r.Warning))
			fmt.Fprintf(&log, " warning=%.500q", r.Warning.Error())
		}
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("profile %q: %w", r.Profile, r.Err))
			fmt.Fprintf(&log, " error=%.500q", r.Err.Error())
		}
		log.WriteByte('\n')
		if err := printReconciled(c, r); err != nil {
			return err
		}
	}
	elsewhere := "" // where all can be read
	if !plan.DryRun && len(results) > 0 {
		var err error
		if elsewhere, err = plan.Home.AppendBootLog(log.Bytes()); err != nil {
			c.Warn("boot log: %v", err)
		}
	}
	sayFew(func(err error) { c.Warn("%v", err) }, warnings, elsewhere)
	sayFew(c.Error, errs, elsewhere)
	if len(errs) > 0 {
		return cli.Quiet(fail.No)
	}
	return nil
}

// sayFew says errs. If they are many and elsewhere has them all, it says only the first ones.
func sayFew(say func(error), errs []error, elsewhere string) {
	few := errs
	if elsewhere != "" {
		few = errs[:min(len(errs), mostSaid)]
	}
	for _, err := range few {
		say(err)
	}
	if more := len(errs) - len(few); more > 0 {
		say(fmt.Errorf("%d more profiles: see %s", more, elsewhere))
	}
}

func printReconciled(c *place.Context, r reconcile.Result) error {
	if !c.Bool("json") {
		_, err := fmt.Fprintf(c.Out, "reconcile: %s\n", r.Line())
		return err
	}
	reason := ""
	if r.Err != nil {
		reason = r.Err.Error()
	}
	return c.JSON(struct {
		Profile string  `json:"profile"`
		Prior   *string `json:"prior_state"`
		Action  string  `json:"action"`
		Error   *string `json:"error"`
		Exit    string  `json:"prior_exit,omitempty"`
	}{r.Profile, cli.Given(r.Prior, r.Prior != ""), r.Action, cli.Given(reason, reason != ""), r.Exit})
}
