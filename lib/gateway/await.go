//go:build linux

package gateway

import (
	"errors"
	"os"
	"strconv"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// nudgeEvery is how often a waiting finish script is told again that it need not wait.
const nudgeEvery = 500 * time.Millisecond

// wait waits for reached. If the supervisor exits first, that is an error. dirs are as in
// s6.Service.Wait.
func (j *job) wait(deadline time.Time, reached func(*s6.Status) bool, dirs ...string) error {
	gone := false
	err := j.service.Wait(j.m.ScanDir.Programs, deadline, func(st *s6.Status) bool {
		gone = !st.Supervised
		return gone || reached(st)
	}, dirs...)
	if err == nil && gone {
		return j.unsupervised()
	}
	return err
}

// timeout turns a passed deadline into an error that says what did not happen.
func (j *job) timeout(err error, what string) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fail.Errorf(fail.Timeout, "gateway '%s': %s", j.Name, what)
	}
	return err
}

// ending reports whether st is of a process on its way out: told to stop, or already in its
// finish script. Mistaken for a started process it would count as up, and be gone for good a
// moment later: exit codes 0 and 78 keep a gateway down (see finish).
func ending(st *s6.Status) bool { return st.Finishing || st.Up() && !st.WantedUp }

func (j *job) awaitStart(o manager.Options) error {
	if o.Wait {
		return j.awaitUp()
	}
	if !j.ends {
		return nil
	}
	_, err := j.awaitProcess(func(st *s6.Status) bool { return st.Up() })
	return err
}

func (j *job) notUp(err error) error { return j.timeout(err, "not up in time"+j.seeLog()) }

// awaitProcess waits until j's gateway is up, as isUp defines it, in another process than the
// one that was ending when the command was given. The supervisor does not restart a process
// that exits 0 or 78 (see finish). So awaitProcess restarts it, once, unless it was stopped
// meanwhile.
func (j *job) awaitProcess(isUp func(*s6.Status) bool) (now s6.Status, err error) {
	ended := j.before // its last status, down, before it was told to start
	for pushed := false; ; pushed = true {
		err = j.waitStart(func(st *s6.Status) bool {
			now = *st
			if j.ends && st.Same(&j.before) {
				return false
			}
			if st.Up() {
				j.backsOff = false // if it dies now, it died by itself
			}
			return isUp(st) || st.Down() && !st.WantedUp && !st.Same(&ended)
		})
		if err != nil {
			return now, j.notUp(err)
		}
		if now.Up() {
			return now, nil
		}
		if pushed || !j.ends {
			return now, j.gaveUp(&now)
		}
		ended = now
		if err := j.startAgain(); err != nil {
			return now, err
		}
	}
}

// waitStart is wait for a gateway that is to start now. Its finish script may delay the start
// (see script.NextStart). The script does not see a command that reaches the supervisor before
// the script looks, for example one that arrives at the gateway's death.
func (j *job) waitStart(reached func(*s6.Status) bool) error {
	for j.backsOff {
		soon := time.Now().Add(nudgeEvery)
		if !j.deadline.IsZero() && !j.deadline.After(soon) {
			break
		}
		holds := false
		err := j.wait(soon, func(st *s6.Status) bool {
			holds = st.Finishing && st.WantedUp
			return reached(st)
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if !holds {
			continue
		}
		if err := j.startAgain(); err != nil {
			return err
		}
	}
	return j.wait(j.deadline, reached)
}

// startAgain starts a gateway that has ended or waits although it was told to start, unless a
// later command has stopped it.
func (j *job) startAgain() error {
	lock, err := j.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	normallyUp, err := j.service.NormallyUp()
	switch {
	case err != nil:
		return err
	case !normallyUp:
		return j.stopped()
	}
	return j.control(up)
}

func (j *job) stopped() error {
	return fail.Errorf(fail.No, "gateway '%s': somebody else stopped it", j.Name)
}

// gaveUp returns the error for a gateway that has ended with status st and is not restarted.
func (j *job) gaveUp(st *s6.Status) error {
	if normallyUp, err := j.service.NormallyUp(); err == nil && !normallyUp {
		return j.stopped()
	}
	how, why := "exit "+strconv.Itoa(st.ExitCode()), ""
	if name := st.SignalName(); name != "" {
		how = name
	}
	if self := j.says(); st.ExitCode() == script.ExitConfig && self.Failed() {
		why = because(&self)
	}
	return fail.Errorf(fail.No, "gateway '%s': ended (%s) and will not be restarted%s%s", j.Name, how, why, j.seeLog())
}

func (j *job) seeLog() string {
	if j.m.Home == nil {
		return ""
	}
	return "; see " + j.m.Home.LogFile(j.Name)
}

func (j *job) awaitStop(o manager.Options) error {
	j.endOrphan()
	if o.Wait && !j.before.Down() {
		err := j.awaitEnd(o, func(st *s6.Status) bool { return st.Down() || st.Up() && !st.Same(&j.before) })
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitRestart waits until another gateway process runs than before.
func (j *job) awaitRestart(o manager.Options) error {
	j.endOrphan()
	if !j.before.Up() {
		return j.awaitUp()
	}
	ended := func(st *s6.Status) bool { return !st.Same(&j.before) }
	if err := j.awaitEnd(o, ended); err != nil {
		return err
	}
	switch {
	case j.Killed != "":
		j.deadline = time.Now().Add(slot.KillGrace)
	case o.Drain != 0:
		j.deadline = slot.Deadline(o.Timeout) // the drain may have used it up
	}
	return j.awaitUp()
}

// awaitEnd waits until the gateway that was told to end has ended. At the deadline it kills
// that process, never a later one.
func (j *job) awaitEnd(o manager.Options, ended func(*s6.Status) bool) error {
	err := j.awaitDrained(o, ended)
	if err == nil {
		err = j.wait(j.deadline, ended)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = j.awaitAgents(o, ended)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if err := j.signal(kill); err != nil {
		return err
	}
	if err = j.wait(time.Now().Add(slot.KillGrace), ended); errors.Is(err, os.ErrDeadlineExceeded) {
		err = fail.Errorf(fail.Timeout, "gateway '%s': still running after SIGKILL", j.Name)
	}
	if err == nil && j.before.Up() {
		// It had no time to end the processes that it started.
		proc.EndGroup(j.before.PID)
	}
	return err
}

// signal has the supervisor send a signal to the process of before. Other commands are locked
// out meanwhile, so none can have replaced that process.
func (j *job) signal(signal string) error {
	lock, err := j.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	st, err := j.service.Status(j.m.ScanDir.Programs)
	if err != nil || !st.Same(&j.before) {
		return err
	}
	if signal == kill {
		j.Killed = "the gateway"
	}
	return j.control(signal)
}
