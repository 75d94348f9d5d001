package manager

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/par"
	"hermes-s6/lib/proc"
)

// A service is one gateway in the system's service manager. Its methods run the manager's
// tool, at most until deadline.
type service interface {
	start(wait bool, deadline time.Time) error
	stop(wait bool, deadline time.Time) error
	restart(deadline time.Time) error
	running(deadline time.Time) (pid int, up bool, err error)
}

// A native is a service manager of this system, which knows gateways as services that others
// have installed.
type native struct {
	service func(name string) service
}

// Native returns the service manager of kind on this system. system asks for the system-wide
// one if users have their own as well. It fails with exit code 103 if there is none.
func Native(kind Kind, system bool) (ServiceManager, error) {
	var n native
	switch kind {
	case Systemd:
		n.service = func(name string) service { return unit{name, system} }
	case Launchd:
		n.service = func(name string) service { return agent{name} }
	case Windows:
		n.service = func(name string) service { return task{name} }
	default:
		return nil, NoSlots(kind)
	}
	return n, nil
}

func (n native) SupportsRegistration() bool { return false }
func (n native) List() ([]string, error)    { return nil, nil }
func (n native) Close()                     {}

func (n native) Start(names []string, o Options) []Outcome {
	return n.each(names, o, Started, func(s service, deadline time.Time) error { return s.start(o.Wait, deadline) })
}

func (n native) Stop(names []string, o Options) []Outcome {
	return n.each(names, o, Stopped, func(s service, deadline time.Time) error { return s.stop(o.Wait, deadline) })
}

func (n native) Restart(names []string, o Options) []Outcome {
	o.Wait = true
	return n.each(names, o, Restarted, service.restart)
}

func (n native) Running(name string) (pid int, up bool, err error) {
	return n.service(name).running(time.Now().Add(queryLimit))
}

// queryLimit is how long a manager may take to say whether a service runs.
const queryLimit = 10 * time.Second

func (n native) each(names []string, o Options, action string, command func(service, time.Time) error) []Outcome {
	var deadline time.Time
	if o.Timeout > 0 {
		deadline = time.Now().Add(o.Timeout)
	}
	outcomes := make([]Outcome, len(names))
	most := 1
	if o.Wait { // a tool that waits must not delay the commands to the others
		most = len(names)
	}
	par.AtOnce(len(names), most, func(i int) {
		if action == Stopped {
			if pid, _, err := n.Running(names[i]); err == nil && pid != 0 {
				o.Intent.PlanStop(names[i], pid)
			}
		}
		outcomes[i] = Outcome{Name: names[i], Err: command(n.service(names[i]), deadline)}
		if outcomes[i].Err == nil {
			o.Intent.Record(names[i])
		}
	})
	for i, name := range names {
		if err := outcomes[i].Err; err != nil {
			if len(names) > 1 && fail.CodeOf(err) != fail.Absent { // that error contains the name already
				outcomes[i].Err = fail.Errorf(fail.CodeOf(err), "gateway '%s': %w", name, err)
			}
			continue
		}
		outcomes[i].Action = action
		o.Intent.Confirm(name)
		if action != Stopped {
			// Failure to find out the pid is no failure of the start.
			outcomes[i].PID, _, _ = n.service(name).running(deadline)
		}
	}
	return outcomes
}

// run runs the manager's tool name.
func run(deadline time.Time, name string, args ...string) ([]byte, error) {
	if runtime.GOOS == "windows" { // else whatever is called so in the current directory is in the way
		_ = os.Setenv("NoDefaultCurrentDirectoryInExePath", "1")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fail.Errorf(fail.NotFound, "%s: not found on PATH", name)
	}
	return proc.Run(deadline, name, path, args...)
}

// failed returns the Exit of a tool that was run and failed.
func failed(err error) (proc.Exit, bool) {
	var exit *proc.Exit
	if !errors.As(err, &exit) {
		return proc.Exit{}, false
	}
	return *exit, true
}

// pollInterval is how often a manager is asked that cannot wait by itself.
const pollInterval = 200 * time.Millisecond

// poll calls done until it says so, or fails. At the deadline (zero: none) the error has exit
// code 99, and says that tool timed out.
func poll(deadline time.Time, tool string, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		pause := pollInterval
		if !deadline.IsZero() {
			pause = min(pause, time.Until(deadline))
		}
		if pause <= 0 {
			return fail.Errorf(fail.Timeout, "%s: timed out", tool)
		}
		time.Sleep(pause)
	}
}

// suffixed returns base for the root profile, else base with sep and name.
func suffixed(base, sep, name string) string {
	if name == "default" {
		return base
	}
	return base + sep + name
}

// noSuchService returns the error for a service that is not installed.
func noSuchService(name, what string) error {
	return fail.Hint(fail.Errorf(fail.Absent, "no such gateway '%s': %s", name, what), "`hermes gateway install` installs it")
}
