package manager

import (
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/fail"
)

// A task is a gateway's task of the Windows task scheduler.
type task struct{ profile string }

func (t task) name() string { return suffixed("Hermes_Gateway", "_", t.profile) }

// schtasks runs a subcommand on the task. What is wrong it says in the system's language,
// and its exit code is the same for most of it: so whether there is such a task, is seen in
// the list of all.
func (t task) schtasks(deadline time.Time, args ...string) ([]byte, error) {
	out, err := run(deadline, "schtasks", append(args, "/TN", t.name())...)
	exit, ok := failed(err)
	if !ok {
		return out, err
	}
	list, e := run(deadline, "schtasks", "/Query", "/FO", "CSV", "/NH")
	if e != nil || strings.Contains(string(list), `"\`+t.name()+`",`) {
		return out, err
	}
	return nil, noSuchService(t.profile, "the task scheduler has no task "+t.name()+" ("+exit.Said+")")
}

// start cannot wait for more: the task that Hermes makes is over as soon as its launcher
// has started the gateway.
func (t task) start(_ bool, deadline time.Time) error {
	_, err := t.schtasks(deadline, "/Run")
	return err
}

func (t task) stop(wait bool, deadline time.Time) error {
	_, err := t.schtasks(deadline, "/End")
	if _, is := failed(err); is {
		if result, e := t.result(deadline); e == nil && result != unknown && result != taskRunning {
			return nil // there was nothing to end
		}
	}
	if err != nil || !wait {
		return err
	}
	return poll(deadline, "schtasks", func() (bool, error) {
		result, err := t.result(deadline)
		return result != taskRunning, err
	})
}

// restart waits in between: a task that runs already is mostly not started a second time.
func (t task) restart(deadline time.Time) error {
	if err := t.stop(true, deadline); err != nil {
		return err
	}
	return t.start(true, deadline)
}

func (t task) running(deadline time.Time) (pid int, up bool, err error) {
	result, err := t.result(deadline)
	if err == nil && result == unknown {
		err = fail.Errorf(fail.Program, "schtasks: it does not say whether task %s runs", t.name())
	}
	return 0, result == taskRunning, err
}

// Of a task that runs the last result, the seventh column, is SCHED_S_TASK_RUNNING in every
// language; the status is a word. Every field is in quotes.
const (
	lastResult  = 6
	taskRunning = 0x41301
)

// unknown is no result of 32 bits.
const unknown = -1 << 32

// result returns the task's last result, unknown where schtasks does not say.
func (t task) result(deadline time.Time) (int64, error) {
	out, err := t.schtasks(deadline, "/Query", "/V", "/FO", "CSV", "/NH")
	for line := range strings.Lines(string(out)) { // one for each trigger
		if row := strings.Split(line, `","`); len(row) > lastResult {
			if result, e := strconv.ParseInt(row[lastResult], 0, 64); e == nil {
				return result, err
			}
		}
	}
	return unknown, err
}
