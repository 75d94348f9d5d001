//go:build linux

package gateway

import (
	"errors"
	"os"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/fence"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/s6"
)

// settle is how long a gateway that does not notify must have been up to count as started. A
// gateway that rejects its configuration has ended by then.
const settle = 300 * time.Millisecond

// awaitUp waits until j's gateway is ready, if it notifies or readiness is asked for, else
// until it has been up for settle. It also returns when the gateway stands by.
func (j *job) awaitUp() error {
	for {
		st, err := j.awaitProcess(func(st *s6.Status) bool { return st.Up() })
		if err != nil {
			return err
		}
		standing, same, err := j.awaitFence(&st)
		switch {
		case err != nil:
			return j.notUp(err)
		case !same:
			continue
		case standing == fence.StandsBy:
			return nil
		}
		switch {
		case j.ready:
			same, err = j.awaitServing(&st)
		case j.notifies:
			same, err = j.awaitReady(&st)
		default:
			same, err = j.awaitSettled(&st)
		}
		if err != nil {
			return j.notUp(err)
		}
		if same {
			return nil
		}
	}
}

// awaitReady waits until the process of st is ready. same is false if the process has ended
// before.
func (j *job) awaitReady(st *s6.Status) (same bool, err error) {
	err = j.wait(j.deadline, func(now *s6.Status) bool {
		same = now.PID == st.PID && now.Up()
		return !same || now.Ready()
	})
	return same, err
}

// awaitSettled waits until the process of st has been up for settle. same is false if the
// process has ended before.
func (j *job) awaitSettled(st *s6.Status) (same bool, err error) {
	if st.Seconds() > uint64(settle/time.Second) {
		return true, nil
	}
	settled := time.Now().Add(settle)
	late := !j.deadline.IsZero() && j.deadline.Before(settled)
	if late {
		settled = j.deadline
	}
	other := func(now *s6.Status) bool { return !now.Same(st) }
	err = j.wait(settled, other)
	if errors.Is(err, os.ErrDeadlineExceeded) && !late {
		if proc.Alive(st.PID) {
			return true, nil
		}
		// It has ended, but its supervisor has not had the time to record that.
		err = j.wait(j.deadline, other)
	}
	return false, err
}

// awaitUp waits until the gateway is up, as a start does. A gateway that is not to run,
// because it was stopped or gave up, is not waited for.
func (r *registration) awaitUp() error {
	j := &job{Outcome: manager.Outcome{Name: r.name}, m: r.Manager, service: r.ScanDir.Service(r.name), deadline: r.deadline, ready: r.Ready}
	st, err := j.service.Status(r.ScanDir.Programs)
	normallyUp := true
	if err == nil {
		normallyUp, err = j.service.NormallyUp()
	}
	if err == nil {
		j.notifies, err = j.service.Notifies()
	}
	switch {
	case err != nil:
		return err
	case st.WantedUp || normallyUp && !st.Up():
		err = j.awaitUp()
	case st.Up():
		err = fail.Errorf(fail.No, "the gateway is being stopped")
	default:
		err = fail.Hint(fail.Errorf(fail.No, "the gateway is stopped"), "start it with `hermes-svc start %s`", r.name)
	}
	if err != nil {
		what := "up"
		if r.Ready {
			what = "ready"
		}
		return fail.Errorf(fail.CodeOf(err), "profile %s: registered, but not %s: %w", r.name, what, err)
	}
	return nil
}
