package command

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/fence"
	"hermes-s6/lib/place"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
	"hermes-s6/lib/svstat"
)

// fenceSwitch turns the fence off. delayVariable says how long a stand-by of another
// container's share leaves the fence alone.
var (
	fenceSwitch   = cli.Variable{Name: "HERMES_FENCE", Usage: "off: gateways run without a fence"}
	delayVariable = cli.Variable{Name: "HERMES_STANDBY_DELAY", Usage: "milliseconds that --standby leaves the fence to other containers (15000)"}
)

// Fence is hermes-fence.
func Fence(args []string) int {
	return cli.Main(&cli.Command{
		Name:     "hermes-fence",
		Summary:  "run a program only while no other container runs this gateway",
		Operands: "PROFILE PROG...",
		Text: `The fence is a lock on the file .gateway-fence in the profile's directory.
hermes-fence takes the lock, records the holder in the file, and executes PROG. PROG
holds the lock until it ends.

If another process holds the lock, the gateway stands by: s6-setlock waits for the
lock. PROG does not run if the profile's desired state is stopped by then. If locking
is impossible, a warning says so, and PROG runs without a fence.

--holder runs nothing. It exits 0 if the gateway of another service directory holds
the fence, else 1.`,
		Flags: place.Flags(
			cli.Bool("wait for the lock; the default", "wait"),
			cli.Bool("exit 1 if another process holds the lock", "no-wait"),
			cli.Bool("leave the lock to other containers for a while first", "standby"),
			cli.Bool("print who holds the fence, unless it is this service directory's gateway", "holder"),
		),
		Variables: []cli.Variable{fenceSwitch, delayVariable},
		Run:       place.Run(fenceRun),
	}, args)
}

func fenceRun(c *place.Context) error {
	holder := c.Bool("holder")
	if holder && (c.Bool("wait") || c.Bool("no-wait") || c.Bool("standby")) || c.Bool("wait") && c.Bool("no-wait") {
		return fail.Errorf(fail.Usage, "--wait, --no-wait and --holder: mutually exclusive, as are --standby and --holder")
	}
	if len(c.Args) == 0 || holder != (len(c.Args) == 1) {
		return cli.TryHelp("give PROFILE and PROG, or PROFILE alone with --holder")
	}
	name := c.Args[0]
	if err := profile.CheckName(name); err != nil {
		return err
	}
	delay, err := standbyDelay()
	if err != nil {
		return err
	}
	l := &link{Context: c, profile: name, program: c.Args[1:]}
	if path := os.Getenv(script.SlotVariable); path != "" {
		l.slot = &s6.Service{In: dir.Working, Name: path}
	}
	if holder {
		return l.holder()
	}
	asked := os.Getenv(script.FenceVariable)
	l.waited = asked == script.FenceWaits || asked == script.FenceDelays
	switch {
	case os.Getenv(fenceSwitch.Name) == "off":
		return l.run("")
	case c.Bool("standby") && delay > 0 && !l.waited:
		return l.delay(delay)
	}
	return l.pass()
}

// standbyDelay returns the value of HERMES_STANDBY_DELAY.
func standbyDelay() (time.Duration, error) {
	text := os.Getenv(delayVariable.Name)
	if text == "" {
		text = "15000"
	}
	return cli.Milliseconds(delayVariable.Name, text)
}

// A link is hermes-fence as one link of the chain that ends in a gateway.
type link struct {
	*place.Context
	profile string
	program []string
	slot    *s6.Service // nil outside a slot
	waited  bool        // it waited before it executed us
}

// holder implements --holder.
func (l *link) holder() error {
	if os.Getenv(fenceSwitch.Name) == "off" {
		return cli.Quiet(fail.No)
	}
	home, err := l.OpenHome()
	if err != nil {
		return err
	}
	defer home.Close()
	at, path := home.At(l.profile, fence.File)
	s, err := fence.Look(at, path, 0)
	if err != nil || l.slot == nil && !s.Held || l.slot != nil && !s.Elsewhere(*l.slot) {
		return cmp.Or(err, cli.Quiet(fail.No))
	}
	return l.JSON(svstat.HolderObject(s.Holder))
}

// pass takes the fence and runs the program, or executes a program that waits for the fence.
func (l *link) pass() error {
	home, err := l.OpenHome()
	if err != nil {
		return l.without(err)
	}
	d, err := home.Dir(l.profile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l.run("") // no profile: there is nothing that containers could share
	case err != nil:
		return l.without(err)
	}
	g := &fence.Gate{Dir: d, UID: home.UID, GID: home.GID, Say: l.Warn}
	f, s, err := g.Pass()
	switch {
	case err != nil:
		return l.without(err)
	case f == nil && l.Bool("no-wait"):
		return fail.Errorf(fail.No, "gateway '%s': it runs elsewhere: %s", l.profile, s.Holder)
	case f == nil:
		l.settleLogger(!s.Elsewhere(l.here()), true)
		l.Warn("gateway '%s' stands by: it runs elsewhere: %s", l.profile, s.Holder)
		return l.setlock(script.FenceWaits, "-N", d.Path(fence.File), l.again())
	}
	if l.waited && home.DesiredState(l.profile) == profile.Stopped {
		l.Warn("gateway '%s': it was stopped, and does not take over", l.profile)
		return nil
	}
	l.settleLogger(true, l.waited || s.Holder.Foreign())
	if l.waited {
		l.Warn("gateway '%s' takes over", l.profile)
	}
	if err := f.Sign(); err != nil {
		l.Warn("gateway '%s': holder of its fence not recorded: %v", l.profile, err)
	}
	if !fence.KeptByExec() {
		// Another process may get it before s6-setlock does: then we are started again, and wait.
		f.Close()
		return l.setlock(script.FenceHeld, "-n", d.Path(fence.File), l.program)
	}
	if err := f.Keep(); err != nil {
		return err
	}
	return l.run(script.FenceHeld)
}

// without runs the program if err says that no fence can be had. It does not for a temporary
// shortage.
func (l *link) without(err error) error {
	if !fence.Lacking(err) && !profile.IsLink(err) {
		return err
	}
	l.Warn("gateway '%s' runs without a fence; another container may run it too: %v", l.profile, err)
	return l.run(script.FenceNone)
}

// here returns our slot, or outside a slot a service that does not exist.
func (l *link) here() s6.Service {
	if l.slot == nil {
		return s6.Service{In: dir.Working}
	}
	return *l.slot
}

func (l *link) settleLogger(writes, wait bool) {
	if l.slot == nil {
		return
	}
	if err := fence.SettleLogger(*l.slot, l.Programs(), writes, wait); err != nil && fail.CodeOf(err) != fail.Absent {
		l.Warn("gateway '%s': cannot tell its logger where to write: %v", l.profile, err)
	}
}

// delay executes the shell, which is smaller than we are, to execute us again after delay. The
// processes that the shell starts for that hold none of our descriptors, in case they outlive it.
func (l *link) delay(delay time.Duration) error {
	seconds := strconv.FormatFloat(delay.Seconds(), 'f', -1, 64)
	words := append([]string{"/bin/sh", "-c", `sleep "$1" >/dev/null 2>&1; shift; exec "$@"`, "hermes-fence", seconds}, l.again()...)
	return l.execute(script.FenceDelays, "/bin/sh", words)
}

// setlock executes s6-setlock on path. waits is its option for how to wait. When s6-setlock
// has the lock it executes words, which inherit the lock.
func (l *link) setlock(how, waits, path string, words []string) error {
	setlock, err := l.Programs().Find("s6-setlock")
	if err != nil {
		return err
	}
	return l.execute(how, setlock, append([]string{"s6-setlock", waits, path}, words...))
}

// again returns our own command line.
func (l *link) again() []string {
	words := []string{os.Args[0]}
	if filepath.Base(os.Args[0]) != "hermes-fence" {
		if self, err := os.Executable(); err == nil {
			words[0] = self
		}
		words = append(words, "hermes-fence")
	}
	if l.Bool("standby") {
		words = append(words, "--standby")
	}
	return slices.Concat(words, l.Given(), []string{l.profile}, l.program)
}

// run executes the program.
func (l *link) run(how string) error { return l.execute(how, l.program[0], l.program) }

// execute replaces us with the program file, found as execvp(3) finds it. Searching without
// executing could only guess why the program cannot be executed. how tells it how far this
// process has come.
func (l *link) execute(how, file string, words []string) error {
	env := make([]string, 0, len(os.Environ())+1)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, script.FenceVariable+"=") {
			env = append(env, v)
		}
	}
	env = append(env, script.FenceVariable+"="+how)
	paths := []string{file}
	if !strings.Contains(file, "/") {
		paths = paths[:0]
		for _, d := range filepath.SplitList(cmp.Or(os.Getenv("PATH"), "/usr/bin:/bin")) {
			paths = append(paths, cmp.Or(d, ".")+"/"+file)
		}
	}
	l.RestoreUmask()
	err := error(syscall.ENOENT)
	for _, path := range paths {
		switch e := syscall.Exec(path, words, env); e {
		case syscall.ENOENT, syscall.ENOTDIR:
		case syscall.EACCES:
			err = e // as execvp returns it, unless there is a more useful one
		default:
			return fail.Errorf(fail.System, "execute %s: %w", path, e)
		}
	}
	code := fail.System
	if errors.Is(err, syscall.ENOENT) {
		code = fail.NotFound
	}
	return fail.Errorf(code, "execute %s: %w", file, err)
}
