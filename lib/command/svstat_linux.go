package command

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/par"
	"hermes-s6/lib/place"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/slot"
	"hermes-s6/lib/svstat"
)

// Svstat is hermes-svstat.
func Svstat(args []string) int {
	return cli.Main(&cli.Command{
		Name:     "hermes-svstat",
		Summary:  "show what gateways are doing",
		Operands: "[PROFILE | SERVICEDIR]...",
		Text: `Without operands, it shows every gateway in the scan directory. A SERVICEDIR contains a
slash, or is . or .. Exits 0 if all services shown are up, 1 if some are not, and 102 if
one of the operands does not exist. A gateway counts as up if the root profile's gateway
serves its profile.

FIELDS are separated by commas. A field is name, or one of s6-svstat's fields:
up wantedup normallyup ready paused pid pgid exitcode signal signum updownsince
readysince updownfor readyfor. A service that is not supervised has no line.

On a host, where the service manager is not s6, it shows only the state and the pid of
each PROFILE given.`,
		Flags: place.Flags(
			cli.List("o", "print these `FIELDS` as s6-svstat does; repeatable"),
			cli.Bool("print only the names", "list"),
			cli.Bool("keep running, and print each service again when it changes", "follow"),
			cli.Bool("print metrics for Prometheus as OpenMetrics text", "metrics"),
			checkFlag(),
			systemFlag(),
		),
		Variables: []cli.Variable{place.ManagerVariable, {Name: "NO_COLOR", Usage: "if set, the table has no colours"}},
		Run:       place.Run(svstatRun),
	}, args)
}

func svstatRun(c *place.Context) error {
	if kind, ok := onHost(c, c.Args); ok {
		return hostStatus(c, kind, c.Args)
	}
	fields, err := fieldsOf(c)
	if err != nil {
		return err
	}
	if c.Bool("list") && len(c.Args) > 0 {
		return fail.Errorf(fail.Usage, "--list: unexpected operand %q", c.Args[0])
	}
	q := &query{Context: c}
	defer func() { q.scan.Close() }()
	if !c.Bool("follow") {
		err = q.resolve()
	}
	if err != nil {
		return err
	}
	q.fine = (*svstat.State).Works
	if c.Bool("list") {
		return q.list()
	}
	r := &svstat.Reader{Programs: c.Programs(), OpenHome: c.OpenHome}
	defer r.Close()
	switch {
	case c.Bool("follow"):
		return q.follow(r, fields)
	case c.Bool("metrics"):
		return q.metrics(r)
	case given(c, "check"):
		return q.check(r)
	case fields != nil:
		return q.report(r, svstat.Status, func(states []svstat.State) error { return q.fields(states, fields) })
	case c.Bool("json"):
		return q.report(r, svstat.Object, q.objects)
	}
	return q.report(r, svstat.Table, func(states []svstat.State) error { return r.Table(c.Out, states, c.Fancy()) })
}

// A query is one run of hermes-svstat.
type query struct {
	*place.Context
	scan  *dir.Dir // nil if there is no scan directory, or none was needed
	asked []svstat.Asked
	fine  func(*svstat.State) bool // if it returns false, the answer is no
}

// operands finds the services that operands name. One without an In is in the scan directory.
func operands(names []string) (asked []svstat.Asked, err error) {
	for _, o := range names {
		if isServiceDir(o) {
			base := filepath.Base(o)
			name, ok := profile.FromSlot(base)
			if !ok {
				name = base
			}
			asked = append(asked, svstat.Asked{Name: name, Gateway: ok, Service: s6.Service{In: dir.Working, Name: o}})
			continue
		}
		if err := profile.CheckName(o); err != nil {
			return nil, err
		}
		asked = append(asked, svstat.GatewayAsked(o))
	}
	return asked, nil
}

// inScanDir reports whether anything in the scan directory is asked for.
func (q *query) inScanDir() bool {
	return len(q.Args) == 0 || slices.ContainsFunc(q.Args, func(o string) bool { return !isServiceDir(o) })
}

// resolve finds the services that are asked for. A service directory is read wherever it is.
// Everything else requires that s6 is in charge.
func (q *query) resolve() (err error) {
	if q.asked, err = operands(q.Args); err != nil || !q.inScanDir() {
		return err
	}
	open, err := q.open()
	if err != nil {
		return err
	}
	if len(q.Args) == 0 && open {
		err = q.all()
	}
	for i := range q.asked {
		if q.asked[i].In == nil {
			q.asked[i].In = q.scan
		}
	}
	return err
}

// open opens the scan directory. It returns false if there is none, also because another
// service manager is in charge.
func (q *query) open() (bool, error) {
	kind, err := q.Manager()
	if err != nil {
		return false, err
	}
	if kind == manager.None {
		return false, q.NeedS6()
	}
	if kind != manager.S6 {
		return false, nil
	}
	q.scan, err = q.openScan()
	return q.scan != nil, err
}

// all asks about each gateway. Names that are no gateways drop out when their states are read.
func (q *query) all() error {
	list := slot.Named
	if q.Bool("list") {
		list = slot.Profiles
	}
	names, err := list(q.scan)
	for _, name := range names {
		q.asked = append(q.asked, svstat.GatewayAsked(name))
	}
	return err
}

func (q *query) list() error {
	for _, a := range q.asked {
		if !q.Bool("json") {
			fmt.Fprintln(q.Out, a.Name)
		} else if err := q.JSON(struct {
			Name string `json:"name"`
		}{a.Name}); err != nil {
			return err
		}
	}
	return nil
}

// read reads the states of all that is asked about.
func (q *query) read(r *svstat.Reader, depth svstat.Depth) ([]svstat.State, []error) {
	states, errs := r.Read(q.asked, depth)
	if len(q.Args) == 0 {
		// These are not directories, or were unregistered since they were listed. No one asked
		// for them.
		errs = slices.DeleteFunc(errs, func(err error) bool { return fail.CodeOf(err) == fail.Absent })
	}
	for i := range states {
		if s := &states[i]; s.Linked != nil {
			q.Warn("profile %s: %v", s.Name, s.Linked)
		}
	}
	return states, errs
}

// report prints the states of all that is asked about. It returns the last error for what does
// not exist or cannot be read, or exit code 1 for a state that is not fine.
func (q *query) report(r *svstat.Reader, depth svstat.Depth, print func([]svstat.State) error) error {
	states, errs := q.read(r, depth)
	if err := print(states); err != nil {
		return err
	}
	if err := q.Last(errs); err != nil {
		return err
	}
	for i := range states {
		if !q.fine(&states[i]) {
			return cli.Quiet(fail.No)
		}
	}
	return nil
}

// objects implements --json.
func (q *query) objects(states []svstat.State) error {
	lines, errs := make([]string, len(states)), make([]error, len(states))
	par.Do(len(states), func(i int) { lines[i], errs[i] = cli.JSONText(states[i].Object()) })
	for _, line := range lines {
		q.Out.WriteString(line)
		q.Out.WriteByte('\n')
	}
	return errors.Join(errs...)
}
