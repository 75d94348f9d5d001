//go:build linux

package gateway

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/slot"
)

// What s6-svc's options of the same letters send to a supervisor.
const (
	up   = "u"
	down = "d"
	// SIGTERM, and SIGCONT: one that is paused would not see it.
	terminate = "tc"
	kill      = "k"
)

// killGrace is what a gateway gets after SIGKILL: its finish script may have 5 s
// to run (timeout-finish in servicedir's manual page).
const killGrace = 7 * time.Second

// A job is a command to one gateway.
type job struct {
	manager.Outcome
	m       *S6
	service s6.Service
	before  s6.Status // when the command was given
	isUp    func(*s6.Status) bool
	pushed  *s6.Status // how it had ended when restart started it itself
}

// Start implements manager.ServiceManager.
func (m *S6) Start(names []string, o manager.Options) []manager.Outcome {
	return m.each(names, o, manager.Started, func(j *job) error { return j.service.Control(up) }, (*job).awaitStart)
}

// Stop implements manager.ServiceManager. A gateway that has not stopped at the
// timeout is killed.
func (m *S6) Stop(names []string, o manager.Options) []manager.Outcome {
	return m.each(names, o, manager.Stopped, func(j *job) error { return j.service.Control(down) }, (*job).awaitStop)
}

// Restart implements manager.ServiceManager. One that has not ended at the
// timeout is killed.
func (m *S6) Restart(names []string, o manager.Options) []manager.Outcome {
	o.Wait = true
	return m.each(names, o, manager.Restarted, func(j *job) error {
		if j.before.Up() {
			return j.service.Control(terminate)
		}
		return j.service.Control(up)
	}, (*job).awaitRestart)
}

// each gives all gateways their command and then waits for them.
func (m *S6) each(names []string, o manager.Options, action string, issue func(*job) error, await func(*job, time.Time) error) []manager.Outcome {
	jobs := make([]*job, len(names))
	for i, name := range names {
		j := &job{Outcome: manager.Outcome{Name: name}, m: m, service: m.Scan.Service(name)}
		if j.Err = j.prepare(action, o.Timeout); j.Err == nil {
			j.Err = issue(j)
		}
		if j.Err == nil && o.Issued != nil {
			o.Issued(name)
		}
		jobs[i] = j
	}
	deadline := slot.Deadline(o.Timeout)
	outcomes := make([]manager.Outcome, len(jobs))
	for i, j := range jobs {
		if j.Err == nil && o.Wait {
			j.Err = await(j, deadline)
			if o.Progress != nil {
				o.Progress(i+1, len(jobs))
			}
		}
		if j.Err == nil {
			j.Action = action
			j.PID, _, j.Err = m.Running(j.Name)
		}
		outcomes[i] = j.Outcome
	}
	return outcomes
}

// prepare finds out how j's gateway is, which it registers if only its profile is
// there.
func (j *job) prepare(action string, timeout time.Duration) (err error) {
	there, err := j.service.Exists()
	if err == nil && there {
		j.before, err = j.service.Status(j.m.Scan.Programs)
	}
	if err == nil && !j.before.Supervised {
		if err = j.complete(there, action == manager.Stopped, timeout); err == nil {
			j.before, err = j.service.Status(j.m.Scan.Programs)
		}
	}
	if err == nil && !j.before.Supervised {
		err = j.unsupervised()
	}
	if err == nil && !j.before.Known {
		err = j.awaitSupervisor(slot.Deadline(timeout))
	}
	if err == nil {
		j.isUp, err = isUp(j.service)
	}
	return err
}

// awaitSupervisor waits for the first words of a supervisor that has only just come:
// later they would be taken for what came of the command.
func (j *job) awaitSupervisor(deadline time.Time) error {
	err := j.wait(deadline, func(st *s6.Status) bool {
		j.before = *st
		return st.Known
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fail.Errorf(fail.Timeout, "gateway '%s': its supervisor has said nothing in time", j.Name)
	}
	return err
}

// complete registers j's gateway with what is on record of it, where it has no slot,
// or one that a killed run may have left without telling s6-svscan.
func (j *job) complete(there, down bool, timeout time.Duration) error {
	m := j.m
	if there {
		if held, err := m.Scan.Held(j.Name); err != nil || !held || m.Home == nil {
			return err
		}
	} else if err := m.hasProfile(j.Name); err != nil {
		return err
	}
	if !there {
		m.Info("profile %s: it had no slot and is registered first", j.Name)
	}
	_, err := m.Register(j.Name, manager.Registration{Recorded: true, Down: down, Keep: true, Timeout: timeout})
	return err
}

// hasProfile is no error where there is a profile name to make a slot for.
func (m *S6) hasProfile(name string) error {
	if m.Home == nil && m.HomeErr != nil && !errors.Is(m.HomeErr, fs.ErrNotExist) {
		return m.HomeErr
	}
	known, err := m.Home != nil, error(nil)
	if known {
		known, err = m.Home.Has(name)
	}
	if err == nil && !known {
		err = fail.Errorf(fail.Absent, "no such gateway '%s': create its profile with `hermes profile create %s`, or register it with hermes-svc-register", name, name)
	}
	return err
}

// unsupervised is the answer for a slot that nobody supervises.
func (j *job) unsupervised() error {
	repair := "`s6-svscanctl -a " + j.m.Scan.ScanDir + "` has s6-svscan take it up"
	if !j.m.Scan.Alive() {
		repair = "no s6-svscan is watching " + j.m.Scan.ScanDir
	}
	return fail.Errorf(fail.Absent, "gateway '%s': its slot is not supervised: %s", j.Name, repair)
}

// wait waits for reached, or for the end of the supervisor, which is an error.
func (j *job) wait(deadline time.Time, reached func(*s6.Status) bool) error {
	gone := false
	err := j.service.Wait(j.m.Scan.Programs, deadline, func(st *s6.Status) bool {
		gone = !st.Supervised
		return gone || reached(st)
	})
	if err == nil && gone {
		return j.unsupervised()
	}
	return err
}

func (j *job) awaitStart(deadline time.Time) error {
	var ended *s6.Status
	err := j.wait(deadline, func(st *s6.Status) bool {
		if j.gaveUp(st, &j.before) {
			ended = st
		}
		return ended != nil || j.isUp(st)
	})
	return j.explain(err, ended)
}

// gaveUp tells whether st is of a gateway that has ended and is not restarted,
// since the time of before.
func (j *job) gaveUp(st, before *s6.Status) bool {
	return st.Down() && !st.WantedUp && !st.Same(before)
}

// explain makes an error of what became of a start.
func (j *job) explain(err error, ended *s6.Status) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail.Errorf(fail.Timeout, "gateway '%s': not up in time%s", j.Name, j.seeLog())
	case err == nil && ended != nil:
		how := "exit " + strconv.Itoa(ended.ExitCode())
		if name := ended.SignalName(); name != "" {
			how = name
		}
		return fail.Errorf(fail.No, "gateway '%s': it ended (%s) and is not restarted%s", j.Name, how, j.seeLog())
	}
	return err
}

func (j *job) seeLog() string {
	if j.m.Home == nil {
		return ""
	}
	return "; see " + j.m.Home.LogFile(j.Name)
}

func (j *job) awaitStop(deadline time.Time) error {
	return j.killAt(deadline, func(st *s6.Status) bool { return st.Down() })
}

// killAt waits until the gateway that was told to end has, and kills it at
// deadline.
func (j *job) killAt(deadline time.Time, ended func(*s6.Status) bool) error {
	err := j.wait(deadline, ended)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	j.Killed = "the gateway"
	st, err := j.service.Status(j.m.Scan.Programs)
	if err == nil {
		err = j.service.Control(kill)
	}
	if err != nil {
		return err
	}
	if err = j.wait(time.Now().Add(killGrace), ended); errors.Is(err, os.ErrDeadlineExceeded) {
		err = fail.Errorf(fail.Timeout, "gateway '%s': still there after SIGKILL", j.Name)
	}
	if err == nil && st.Up() {
		// It had no time to end what it has started.
		proc.EndGroup(st.PID)
	}
	return err
}

// awaitRestart waits until another gateway runs than before. One that exits 0 is
// not restarted by its supervisor (see finish), so we do that.
func (j *job) awaitRestart(deadline time.Time) error {
	if j.before.Up() {
		if err := j.killAt(deadline, func(st *s6.Status) bool { return !st.Same(&j.before) }); err != nil {
			return err
		}
		if j.Killed != "" {
			deadline = time.Now().Add(killGrace)
		}
	}
	var ended *s6.Status
	var pushErr error
	err := j.wait(deadline, func(st *s6.Status) bool {
		switch {
		case st.Same(&j.before):
			return false
		case j.pushed != nil && j.gaveUp(st, j.pushed):
			ended = st
		case j.pushed == nil && st.Down() && !st.WantedUp:
			now := *st
			j.pushed = &now
			pushErr = j.service.Control(up)
		}
		return ended != nil || pushErr != nil || j.isUp(st)
	})
	return j.explain(errors.Join(err, pushErr), ended)
}
