package command

import (
	"cmp"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/place"
	"hermes-s6/lib/reconcile"
)

var (
	intervalVariable = cli.Variable{Name: "HERMES_FOLLOW_INTERVAL", Usage: "seconds between two checks of the whole home with --follow (30)"}
	pruneVariable    = cli.Variable{Name: "HERMES_PRUNE_DELAY", Usage: "milliseconds a profile must be gone before --follow unregisters its gateway (5000)"}
)

// follow implements hermes-reconcile --follow.
func follow(c *place.Context) error {
	if c.Bool("dry-run") || c.Bool("prune") {
		return fail.Hint(fail.Errorf(fail.Usage, "--follow, --dry-run and --prune: mutually exclusive"), "--follow prunes by itself, after HERMES_PRUNE_DELAY")
	}
	if _, err := newPlan(c); err != nil {
		return err
	}
	if err := c.NeedS6(); err != nil {
		return err
	}
	seconds, err := strconv.Atoi(cmp.Or(os.Getenv(intervalVariable.Name), "30"))
	if err != nil || seconds < 1 || seconds > 86400 {
		return fail.Errorf(fail.Usage, "invalid %s %q: must be 1 to 86400 seconds", intervalVariable.Name, os.Getenv(intervalVariable.Name))
	}
	delay, err := cli.Milliseconds(pruneVariable.Name, cmp.Or(os.Getenv(pruneVariable.Name), "5000"))
	if err != nil {
		return err
	}
	// A follower runs for long: the garbage of one look must be collected before the next look
	// needs as much memory.
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(10 << 20)
	ready, err := notification(c)
	if err != nil {
		return err
	}
	f := &reconcile.Follower{
		Open: func() (*reconcile.Plan, error) { return openPlan(c) },
		Prepare: func(plan *reconcile.Plan) error {
			_, err := makeReady(c, plan)
			return err
		},
		Interval: time.Duration(seconds) * time.Second, PruneDelay: delay,
		Say: func(r reconcile.Result) error {
			if r.Warning != nil {
				c.Warn("profile %q: %v", r.Profile, r.Warning)
			}
			if r.Err != nil {
				c.Warn("profile %q: %v", r.Profile, r.Err)
			}
			if err := printReconciled(c, r); err != nil {
				return err
			}
			return c.Out.Flush()
		},
		Warn: c.Warn, Ready: ready,
	}
	return f.Run()
}

// notification returns a function that tells s6-supervise that we are ready, like the option
// -d of other programs: it writes a newline to a descriptor and closes it.
func notification(c *place.Context) (func() error, error) {
	text := c.String("notification-fd")
	if text == "" {
		return func() error { return nil }, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fail.Errorf(fail.Usage, "invalid notification-fd %q: must be a number of at least 3", text)
	}
	// A descriptor that we or Go's runtime opened was not given to us, and is closed on exec.
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
		return nil, fail.Errorf(fail.Usage, "notification-fd %d: not open", fd)
	}
	return func() error {
		defer unix.Close(fd)
		if _, err := unix.Write(fd, []byte{'\n'}); err != nil {
			c.Warn("notification-fd %d: %v", fd, err)
		}
		return nil
	}, nil
}
