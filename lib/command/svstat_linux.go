package command

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/gateway"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/par"
	"hermes-s6/lib/place"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/slot"
)

// Svstat is hermes-svstat.
func Svstat(args []string) int {
	return cli.Main(&cli.Command{
		Name:     "hermes-svstat",
		Summary:  "show what gateways are doing",
		Operands: "[PROFILE | SERVICEDIR]...",
		Text: `Without operands: every gateway in the scan directory. A SERVICEDIR has a slash in
it, or is . or .. Exits 0 when all that was asked for are up, 1 when some are
not, 102 when a named one does not exist. One that the root profile's gateway
serves counts as up.

FIELDS are names of s6-svstat -o, or name, with commas between them:
up wantedup normallyup ready paused pid pgid exitcode signal signum updownsince
readysince updownfor readyfor. As with s6-svstat, a service that is not
supervised has no line then.

On a host, whose service manager is not s6, there is something to be had only of a
PROFILE that is named: whether it is up, and its pid.`,
		Flags: place.Flags(
			cli.List("o", "print these `FIELDS`, as s6-svstat does; repeatable"),
			cli.Bool("print the names alone", "list"),
			systemFlag(),
		),
		Variables: []cli.Variable{place.ManagerVariable, {Name: "NO_COLOR", Usage: "no colours in the table, where it is set"}},
		Run:       place.Run(svstat),
	}, args)
}

// deathSpan is the "last minute" of the table and of deaths in JSON.
const deathSpan = time.Minute

func svstat(c *place.Context) error {
	if kind, ok := onHost(c, c.Args); ok {
		return hostStatus(c, kind, c.Args)
	}
	fields, err := fieldsOf(c)
	if err != nil {
		return err
	}
	operands := c.Args
	if c.Bool("list") && len(operands) > 0 {
		return fail.Errorf(fail.Usage, "--list: it takes no operands")
	}
	q := &query{Context: c}
	defer q.close()
	if err := q.resolve(operands); err != nil {
		return err
	}
	if c.Bool("list") {
		return q.list()
	}
	var rows []row
	switch {
	case fields != nil:
		rows = q.read(nil)
		err = q.fields(rows, fields)
	case c.Bool("json"):
		rows = q.read(q.moreForObject)
		err = q.objects(rows)
	default:
		rows = q.read(q.moreForTable)
		err = q.table(rows)
	}
	if err != nil {
		return err
	}
	return q.verdict(rows)
}

// fieldsOf returns the fields of -o, nil where it is not given. Several -o add
// up, and a comma at the end is none, as with s6-svstat.
func fieldsOf(c *place.Context) ([]string, error) {
	if !c.IsSet("o") {
		return nil, nil
	}
	if c.Bool("json") || c.Bool("list") {
		return nil, fail.Errorf(fail.Usage, "-o, --json and --list: only one can be")
	}
	var fields []string
	for _, some := range c.List("o") {
		for _, f := range strings.Split(strings.TrimSuffix(some, ","), ",") {
			if f != "name" && !slices.Contains(s6.Fields, f) {
				return nil, fail.Errorf(fail.Usage, "invalid field %q: it must be name or one of %s", f, strings.Join(s6.Fields, ","))
			}
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// A query is one run of hermes-svstat.
type query struct {
	*place.Context
	scan   *dir.Dir // nil where there is no scan directory, or none was needed
	home   *profile.Home
	asked  []asked
	absent []error
}

// An asked service is one that the operands name.
type asked struct {
	name    string // the profile's, or the service directory's
	profile bool
	s6.Service
}

func (q *query) close() {
	q.home.Close()
	q.scan.Close()
}

// resolve finds the services that operands name. A service directory is read
// wherever it is; everything else needs an s6 that is in charge.
func (q *query) resolve(operands []string) error {
	for _, o := range operands {
		if isServiceDir(o) {
			base := filepath.Base(o)
			name, ok := profile.FromSlot(base)
			if !ok {
				name = base
			}
			q.asked = append(q.asked, asked{name, ok, s6.Service{In: dir.Working, Name: o}})
			continue
		}
		if err := profile.CheckName(o); err != nil {
			return err
		}
		q.asked = append(q.asked, asked{o, true, s6.Service{Name: profile.Slot(o)}})
	}
	if len(operands) > 0 && !slices.ContainsFunc(operands, func(o string) bool { return !isServiceDir(o) }) {
		return nil
	}
	open, err := q.open()
	if err != nil {
		return err
	}
	if len(operands) == 0 && open {
		err = q.all()
	}
	for i := range q.asked {
		if q.asked[i].In == nil {
			q.asked[i].In = q.scan
		}
	}
	return err
}

// open opens the scan directory; false where there is none, also because
// another service manager is in charge.
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
	q.scan, err = dir.Open(q.Tree().ScanDir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (q *query) all() error {
	names, err := slot.Profiles(q.scan)
	for _, name := range names {
		q.asked = append(q.asked, asked{name, true, s6.Service{In: q.scan, Name: profile.Slot(name)}})
	}
	return err
}

func (q *query) list() error {
	for _, a := range q.asked {
		if !q.Bool("json") {
			fmt.Fprintln(q.Out, a.name)
		} else if err := q.JSON(struct {
			Name string `json:"name"`
		}{a.name}); err != nil {
			return err
		}
	}
	return nil
}

// A row is what is known of one service.
type row struct {
	asked
	s6.Status
	// What more there is to read.
	normallyUp bool
	deaths     int
	lived      bool // it was started since its supervisor was
	served     bool // it is down, and the root profile's gateway does its work
	next       int  // in how many seconds it is started again; 0 where it does not wait
	desired    string
	reason     string // why it refused its configuration, if it says so
	linked     error  // its profile's directory is a link, and desired is not known
}

// read reads the status of all services, and what more reads of each. Those that do
// not exist are kept for verdict, with the ones that cannot be read.
func (q *query) read(more func(*row) error) []row {
	if more != nil {
		if home, err := q.OpenHome(); err == nil {
			q.home = home
		}
	}
	read := make([]row, len(q.asked))
	errs := make([]error, len(q.asked))
	programs := q.Programs()
	par.Do(len(q.asked), func(i int) {
		r := &read[i]
		r.asked = q.asked[i]
		errs[i] = r.read(programs)
		if errs[i] == nil && more != nil {
			errs[i] = more(r)
		}
	})
	rows := read[:0]
	for i, err := range errs {
		switch {
		case fail.CodeOf(err) == fail.Absent && len(q.Args) == 0:
			// Unregistered since it was listed: nobody asked for it.
		case err != nil:
			q.absent = append(q.absent, err)
		default:
			rows = append(rows, read[i])
			if read[i].linked != nil {
				q.Warn("profile %s: %v", read[i].name, read[i].linked)
			}
		}
	}
	q.markServed(rows)
	return rows
}

// read reads r's status.
func (r *row) read(p s6.Programs) (err error) {
	if r.In != nil {
		if r.Status, err = r.Service.Status(p); r.Supervised {
			return err
		}
		// One that has a supervisor is there, which need not be asked.
		if there, e := r.Exists(); e != nil || there {
			return cmp.Or(err, e)
		}
	}
	if r.profile {
		return gateway.NoSuchGateway(r.name)
	}
	return fail.Errorf(fail.Absent, "no such service directory '%s'", r.Name)
}

func (q *query) moreForObject(r *row) (err error) {
	if r.normallyUp, err = r.NormallyUp(); err != nil {
		return err
	}
	return q.moreForTable(r)
}

func (q *query) moreForTable(r *row) error {
	if r.profile && q.home != nil {
		if r.desired = q.home.DesiredState(r.name); r.desired == "" {
			r.linked = q.home.Linked(r.name)
		}
	}
	if r.profile {
		r.next = slot.NextStart(r.Service, &r.Status)
	}
	if r.profile && q.home != nil && r.ExitCode() == slot.ExitConfig {
		r.reason = q.home.Self(r.name).ExitReason
	}
	r.lived = r.Started && (r.Up() || r.Finishing)
	if r.Up() && r.Dated() && r.Seconds() > uint64(deathSpan/time.Second) {
		return nil // it did not die since
	}
	deaths, err := r.Deaths()
	// Up to 2.13.1 the status of a service that was never started looks like
	// that of one that exited 0; its death tally is empty.
	r.lived = r.lived || r.Started && len(deaths) > 0
	if r.profile {
		deaths = slices.DeleteFunc(deaths, func(d s6.Death) bool { return !slot.IsCrash(d.Code) })
	}
	r.deaths = s6.DeathsWithin(deaths, r.Now, deathSpan)
	return err
}

// verdict returns the exit code: the last error for what does not exist or
// cannot be read, 1 for what is not up.
func (q *query) verdict(rows []row) error {
	if err := q.Last(q.absent); err != nil {
		return err
	}
	for i := range rows {
		if !rows[i].isUp() && !rows[i].served {
			return cli.Quiet(fail.No)
		}
	}
	return nil
}

// fields is -o.
func (q *query) fields(rows []row, fields []string) error {
	for i := range rows {
		r := &rows[i]
		if !r.Supervised {
			q.Warn("%s: not supervised", r.Path())
			continue
		}
		for i, f := range fields {
			if i > 0 {
				q.Out.WriteByte(' ')
			}
			if f == "name" {
				q.Out.WriteString(cli.Printable(r.name))
			} else {
				q.Out.WriteString(r.Service.Field(q.Programs(), &r.Status, f))
			}
		}
		q.Out.WriteByte('\n')
	}
	return nil
}

// objects is --json. What does not apply is null.
func (q *query) objects(rows []row) error {
	for i := range rows {
		r := &rows[i]
		err := q.JSON(struct {
			Name       string  `json:"name"`
			Supervised bool    `json:"supervised"`
			Up         bool    `json:"up"`
			WantedUp   bool    `json:"wantedup"`
			NormallyUp bool    `json:"normallyup"`
			Ready      bool    `json:"ready"`
			Paused     bool    `json:"paused"`
			PID        *int    `json:"pid"`
			ExitCode   *int    `json:"exitcode"`
			Signal     *string `json:"signal"`
			Since      *string `json:"since"`
			Seconds    *uint64 `json:"seconds"`
			Deaths     int     `json:"deaths"`
			NextStart  *int    `json:"next_start_in"`
			Desired    *string `json:"desired_state"`
			ServedBy   *string `json:"served_by"`
		}{
			r.name, r.Supervised, r.isUp(), r.Supervised && r.WantedUp, r.normallyUp,
			r.isUp() && r.Ready(), r.isUp() && r.IsPaused(),
			cli.Given(r.PID, r.isUp()), cli.Given(r.ExitCode(), r.lived && r.ExitCode() >= 0),
			cli.Given(r.SignalName(), r.Signal() >= 0),
			cli.Given(r.Since.Time().Format(time.RFC3339), r.Dated()),
			cli.Given(r.Seconds(), r.Dated()), r.deaths, cli.Given(r.next, r.next > 0), cli.Given(r.desired, r.desired != ""),
			cli.Given(profile.Default, r.served),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// isUp is Up where somebody is there to know.
func (r *row) isUp() bool { return r.Supervised && r.Up() }

// state sums r up in a word.
func (r *row) state() string {
	switch {
	case r.served:
		return "served by " + profile.Default
	case !r.Supervised:
		return "unsupervised"
	case r.IsPaused():
		return "paused"
	case r.Up() && r.Ready():
		return "ready"
	case r.Up():
		return "up"
	case r.next > 0:
		return "backing off"
	case r.Finishing:
		return "finishing"
	case !r.lived:
		return "not started"
	}
	return "down"
}

// lastExit says how r's gateway ended the last time.
func (r *row) lastExit() string {
	if code := r.ExitCode(); r.lived && code >= 0 {
		return "exit " + strconv.Itoa(code)
	}
	if name := r.SignalName(); name != "" {
		return name
	}
	return "-"
}

func (r *row) wanted() string {
	switch {
	case !r.Supervised:
		return "-"
	case r.WantedUp:
		return "up"
	}
	return "down"
}
