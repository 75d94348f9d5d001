package manager

import (
	"strings"
	"time"

	"hermes-s6/lib/fail"
)

// A task is a gateway's task of the Windows task scheduler.
type task struct{ profile string }

func (t task) name() string { return suffixed("Hermes_Gateway", "_", t.profile) }

// schtasks exits 1 whatever is wrong, and says what in the system's language: so
// whether there is such a task is asked for.
func (t task) schtasks(deadline time.Time, args ...string) ([]byte, error) {
	out, err := run(deadline, "schtasks", append(args, "/TN", t.name())...)
	if _, ok := failed(err); !ok || args[0] == "/Query" {
		return out, err
	}
	if _, e := t.query(deadline); fail.CodeOf(e) == fail.Absent {
		return nil, e
	}
	return out, err
}

func (t task) query(deadline time.Time) ([]byte, error) {
	out, err := t.schtasks(deadline, "/Query", "/V", "/FO", "CSV", "/NH")
	if _, ok := failed(err); ok {
		return nil, noSuchService(t.profile, "the task scheduler has no task "+t.name())
	}
	return out, err
}

func (t task) start(_ bool, deadline time.Time) error {
	_, err := t.schtasks(deadline, "/Run")
	return err
}

func (t task) stop(_ bool, deadline time.Time) error {
	_, err := t.schtasks(deadline, "/End")
	return err
}

func (t task) restart(deadline time.Time) error {
	if err := t.stop(true, deadline); err != nil {
		return err
	}
	return t.start(true, deadline)
}

// Of a task that runs the last result, the seventh column, is SCHED_S_TASK_RUNNING
// (0x41301) in every language; the status is a word. Every field is in quotes.
const (
	lastResult  = 6
	taskRunning = "267009"
)

func (t task) running(deadline time.Time) (pid int, up bool, err error) {
	out, err := t.query(deadline)
	if err != nil {
		return 0, false, err
	}
	for line := range strings.Lines(string(out)) {
		if row := strings.Split(line, `","`); len(row) > lastResult && row[lastResult] == taskRunning {
			return 0, true, nil
		}
	}
	return 0, false, nil
}
