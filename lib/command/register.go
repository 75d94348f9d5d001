// Package command holds the binaries of the suite, a file each: what their
// options are, and the straight line from them to what the other rooms do.
package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	clilib "github.com/urfave/cli/v2"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/slot"
)

// Register is hermes-svc-register.
func Register(args []string) int {
	var env, files list
	return cli.Main(&cli.Command{
		Name:     "hermes-svc-register",
		Summary:  "make the slot of a profile's gateway and have s6 supervise it",
		Operands: "PROFILE",
		Text: `Prints the path of the slot, SCANDIR/gateway-PROFILE. What is asked for here is
recorded in the profile's directory as gateway_service.json.

An env file holds lines KEY=VALUE, taken as they are, blank lines and lines that
begin with #; - is standard input. --env goes before --env-file, and the last of
several for one key counts. Scripts in execline hand values on as arguments,
which any process can see while the gateway starts: for secrets, stay with sh.`,
		Flags: []clilib.Flag{
			&clilib.StringFlag{Name: "port", Usage: "the gateway's port `N`, 1 to 65535 (derived from the name)"},
			&clilib.GenericFlag{Name: "env", Value: &env, Usage: "`KEY=VALUE` for the gateway's environment, repeatable"},
			&clilib.GenericFlag{Name: "env-file", Value: &files, Usage: "read the like from `FILE`, repeatable"},
			&clilib.StringFlag{Name: "command", Usage: "the gateway's command `STRING`, split as a shell splits words, {profile} replaced"},
			&clilib.StringFlag{Name: "dialect", Value: "sh", Usage: "write the scripts in sh or execline: `sh|execline`"},
			&clilib.BoolFlag{Name: "down", Usage: "do not start the gateway"},
			&clilib.BoolFlag{Name: "keep", Usage: "if there is a slot already, leave it"},
			&clilib.BoolFlag{Name: "replace", Usage: "if there is a slot already, bring it to this definition in place"},
			&clilib.BoolFlag{Name: "wait", Usage: "wait until the gateway is up, or ready where it notifies"},
			&clilib.BoolFlag{Name: "dry-run", Usage: "print what would be written, touch nothing"},
			cli.TimeoutFlag,
		},
		Run: func(c *cli.Context) error {
			r, err := newRegistration(c, env, files)
			if err != nil {
				return err
			}
			defer r.close()
			if c.Bool("dry-run") {
				return r.preview()
			}
			return r.run()
		},
	}, args)
}

// A list is a flag that can be given several times; no value is split or
// trimmed.
type list []string

func (l *list) Set(s string) error { *l = append(*l, s); return nil }
func (l *list) String() string     { return "" }

// A registration is one run of hermes-svc-register.
type registration struct {
	*cli.Context
	name     string
	settings profile.Settings
	host     *slot.Host
	home     *profile.Home
	scan     *slot.Scan
	timeout  time.Duration
	deadline time.Time
}

// newRegistration checks all that can be checked without touching anything.
func newRegistration(c *cli.Context, env, files list) (*registration, error) {
	r := &registration{Context: c}
	var err error
	if r.name, err = c.Operand("profile"); err != nil {
		return nil, err
	}
	if err = profile.CheckName(r.name); err != nil {
		return nil, err
	}
	if r.settings, err = settingsOf(c, env, files); err != nil {
		return nil, err
	}
	if c.Bool("keep") && c.Bool("replace") {
		return nil, fail.Errorf(fail.Usage, "--keep and --replace: only one can be")
	}
	if c.Bool("wait") && c.Bool("down") {
		return nil, fail.Errorf(fail.Usage, "--wait and --down: a gateway that is not started does not come up")
	}
	if r.timeout, err = c.Timeout(); err != nil {
		return nil, err
	}
	if r.host, err = hostOf(c, r.settings.Dialect); err != nil {
		return nil, err
	}
	if err = c.NeedS6(); err != nil {
		return nil, err
	}
	tree := c.Tree()
	if _, err = tree.Programs.Path("s6-svscanctl"); err != nil {
		return nil, err
	}
	if r.scan, err = slot.Open(tree); err == nil {
		r.home, err = c.OpenHome()
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *registration) close() {
	r.home.Close()
	r.scan.Close()
}

// settingsOf returns what the options ask for.
func settingsOf(c *cli.Context, env, files list) (s profile.Settings, err error) {
	s.Env = map[string]profile.Bytes{}
	for _, file := range files {
		if err := readEnvFile(file, s.Env); err != nil {
			return s, err
		}
	}
	for _, v := range env {
		if err := setEnv(s.Env, v); err != nil {
			return s, err
		}
	}
	if c.IsSet("port") {
		s.Port, err = strconv.Atoi(c.String("port"))
		if err != nil || s.Port < 1 || s.Port > 65535 {
			return s, fail.Errorf(fail.Usage, "invalid port %q: it must be 1 to 65535", c.String("port"))
		}
	}
	if c.IsSet("command") && c.String("command") == "" {
		return s, fail.Errorf(fail.Usage, "--command: it is empty")
	}
	s.Command = c.String("command")
	s.Dialect = profile.Dialect(c.String("dialect"))
	if s.Dialect == "" {
		return s, fail.Errorf(fail.Usage, "--dialect: it is empty")
	}
	return s, s.Check()
}

// define gives the settings their port and makes a definition of them.
func (r *registration) define() (*slot.Definition, error) {
	if r.settings.Port == 0 {
		// The port that it was given once stays with a profile. A record
		// that cannot be read is about to be replaced.
		old, _ := r.home.Settings(r.name)
		r.settings.DerivedPort = old.DerivedPort
		if old.InForce() == 0 {
			r.settings.DerivedPort = r.scan.Port(r.name)
		}
	}
	registered, err := r.scan.Ports()
	if err != nil {
		return nil, err
	}
	ports, err := r.home.Ports(r.name, registered)
	if err != nil {
		return nil, err
	}
	port := ports.Claim(r.name, &r.settings)
	if owner := ports.Owner(port); owner != r.name {
		r.Warn("port %d: profile %s has it too", port, owner)
	}
	return &slot.Definition{Host: r.host, Profile: r.name, Port: port, Settings: &r.settings, Down: r.Bool("down")}, nil
}

// preview is --dry-run.
func (r *registration) preview() error {
	there, err := r.scan.Exists(r.name)
	if err != nil {
		return err
	}
	if there && r.Bool("keep") {
		return nil
	}
	if there && !r.Bool("replace") {
		return slot.ErrExists(r.name)
	}
	d, err := r.define()
	if err != nil {
		return err
	}
	files := slot.Render(d)
	for i := range files {
		files[i].Name = filepath.Join(r.scan.Service(r.name).Path(), files[i].Name)
	}
	if path, data, err := r.home.Preview(r.name, r.settings); err != nil {
		return err
	} else if path != "" {
		files = append(files, slot.File{Name: path, Mode: 0o600, Data: string(data)})
	}
	for _, f := range files {
		if r.Bool("json") {
			err = r.JSON(struct {
				Path    string        `json:"path"`
				Mode    string        `json:"mode"`
				Content profile.Bytes `json:"content"`
			}{f.Name, fmt.Sprintf("%04o", f.Mode), profile.Bytes(f.Data)})
		} else {
			_, err = fmt.Fprintf(r.Out, "==> %s %04o <==\n%s\n", f.Name, f.Mode, f.Data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What run did.
const (
	registered = "registered"
	updated    = "updated"
	unchanged  = "unchanged"
	kept       = "kept"
)

// run registers. Whatever line is the last: before publish nothing is there
// but a hold, which the next of us cleans up, and a record, which says what was
// asked for; after it, the slot is whole.
func (r *registration) run() error {
	for _, err := range r.scan.Sweep() {
		r.Warn("leftover of a killed run: %v", err)
	}
	action, affected, err := r.hold()
	if err == nil && r.Bool("wait") {
		err = r.awaitUp()
	}
	if err != nil {
		return err
	}
	return r.report(action, affected)
}

// hold does what is to be done while nobody else may touch the slot.
func (r *registration) hold() (action string, affected bool, err error) {
	hold, err := r.scan.Hold(r.name, slot.Deadline(r.timeout))
	if err != nil {
		return "", false, err
	}
	defer hold.Release()
	// Waiting for others, or cleaning up after one, was not s6's time.
	r.deadline = slot.Deadline(r.timeout)
	there, err := hold.Exists()
	switch {
	case err != nil:
		return "", false, err
	case there && r.Bool("keep"):
		return kept, false, r.supervise(hold)
	case there && r.Bool("replace"):
		return r.replace(hold)
	case there:
		return "", false, slot.ErrExists(r.name)
	}
	return registered, false, r.create(hold)
}

// supervise has a slot that was there before supervised, if it is not.
func (r *registration) supervise(hold *slot.Hold) error {
	if st, err := r.status(); err != nil || st.Supervised {
		return err
	}
	return hold.Supervise(r.deadline)
}

// write puts the record in place and then the slot, by publish, with the home
// locked: between finding a free port and being seen to have it nobody else
// may find it. A slot without its record would forget its settings at the next
// restart, so the record comes first.
func (r *registration) write(publish func(*slot.Definition) error) (undo func() error, err error) {
	if err := r.home.Lock(); err != nil {
		r.Warn("%v; another profile may get the same port", err)
	}
	defer r.home.Unlock()
	d, err := r.define()
	if err != nil {
		return nil, err
	}
	undoRecord, err := r.home.Record(r.name, r.settings)
	if err != nil {
		return nil, err
	}
	undoLogs, err := r.home.MakeLogDir()
	if err != nil {
		r.Warn("log directory: %v", err)
	}
	if err = publish(d); err != nil {
		return nil, r.after(err, undoLogs, undoRecord)
	}
	return func() error { return errors.Join(undoLogs(), undoRecord()) }, nil
}

// after undoes what was done before err and returns err; that undoing failed
// too is a warning.
func (r *registration) after(err error, undo ...func() error) error {
	for _, f := range undo {
		if e := f(); e != nil {
			r.Warn("while undoing: %v", e)
		}
	}
	return err
}

func (r *registration) create(hold *slot.Hold) error {
	undo, err := r.write(hold.Publish)
	if err != nil {
		return err
	}
	if err := hold.Supervise(r.deadline); err != nil {
		return r.after(err, hold.Undo, undo)
	}
	return nil
}

// replace changes the slot in place. affected tells whether the gateway that
// runs now is another than the slot describes.
func (r *registration) replace(hold *slot.Hold) (action string, affected bool, err error) {
	var change slot.Change
	if _, err = r.write(func(d *slot.Definition) (err error) {
		change, err = hold.Put(d)
		return err
	}); err != nil {
		return "", false, err
	}
	st, err := r.status()
	if err == nil {
		err = r.supervise(hold)
	}
	if err != nil {
		return "", false, err
	}
	if len(change.Files) == 0 {
		return unchanged, false, nil
	}
	affected = st.Supervised && st.Up() && slices.Contains(change.Files, "run")
	if affected {
		r.Warn("profile %s: its gateway (pid %d) runs by the old definition until its next start", r.name, st.PID)
	} else {
		r.Info("profile %s: changed %v, which counts from its gateway's next start or death", r.name, change.Files)
	}
	return updated, affected, nil
}

func (r *registration) status() (s6.Status, error) {
	return r.scan.Service(r.name).Status(r.Programs())
}

// awaitUp is --wait.
func (r *registration) awaitUp() error {
	service := r.scan.Service(r.name)
	notifies, err := service.Notifies()
	if err != nil {
		return err
	}
	gone := false
	err = service.Wait(r.Programs(), r.deadline, func(st *s6.Status) bool {
		gone = !st.Supervised // unregistered meanwhile
		return gone || st.Up() && (st.Ready() || !notifies)
	})
	if err == nil && gone {
		return fail.Errorf(fail.Absent, "profile %s: registered, but no longer supervised", r.name)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fail.Errorf(fail.Timeout, "profile %s: registered, but not up in time", r.name)
	}
	return err
}

func (r *registration) report(action string, affected bool) error {
	service := r.scan.Service(r.name)
	if !r.Bool("json") {
		_, err := fmt.Fprintln(r.Out, service.Path())
		return err
	}
	st, err := r.status()
	if err != nil {
		return err
	}
	settings := r.settings
	if action == kept {
		settings, _ = r.home.Settings(r.name)
	}
	return r.JSON(struct {
		Name       string `json:"name"`
		ServiceDir string `json:"servicedir"`
		Action     string `json:"action"`
		Supervised bool   `json:"supervised"`
		Port       int    `json:"port,omitempty"`
		Affected   bool   `json:"restart_needed"`
	}{r.name, service.Path(), action, st.Supervised, settings.InForce(), affected})
}
