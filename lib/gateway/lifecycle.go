//go:build linux

package gateway

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/slot"
)

// These letters go to a supervisor's control FIFO, as s6-svc's options of the same letters
// send them. U and D also make the supervisor remove or make ./down. So a slot tells the next
// supervisor, and us, what was asked for last.
const (
	up   = "U"
	down = "D"
	// SIGTERM and SIGCONT: a paused process would not see SIGTERM alone.
	terminate = "tc"
	kill      = "k"
)

// A command is an instruction for gateways.
type command struct {
	action string // the action of its outcome
	wanted bool   // whether s6-supervise then wants the gateway up
	// letters are for the supervisor of a job's gateway, given the gateway's state before.
	letters func(*job) string
	await   func(*job, manager.Options) error
}

// A job is a command to one gateway.
type job struct {
	manager.Outcome
	m        *Manager
	service  s6.Service
	told     time.Time
	deadline time.Time
	before   s6.Status // when the command was given
	drains   bool      // it was asked to end by a drain
	ends     bool      // the process of before is not the one that was asked for
	marked   bool      // ./down says what was asked for, until something else is asked for
	notifies bool      // it notifies readiness
	ready    bool      // it is to be ready, not just up
	backsOff bool      // its next start may be delayed, but is to be now
}

// Start implements manager.ServiceManager.
func (m *Manager) Start(names []string, o manager.Options) []manager.Outcome {
	return m.each(names, o, command{manager.Started, true, func(*job) string { return up }, (*job).awaitStart})
}

// Stop implements manager.ServiceManager. A gateway that has not stopped at the timeout is
// killed, or later if it waits for agents.
func (m *Manager) Stop(names []string, o manager.Options) []manager.Outcome {
	return m.each(names, o, command{manager.Stopped, false, func(*job) string { return down }, (*job).awaitStop})
}

// Restart implements manager.ServiceManager. A gateway that supports a drain is drained. One
// that has not ended at the timeout is killed.
func (m *Manager) Restart(names []string, o manager.Options) []manager.Outcome {
	o.Wait = true
	return m.each(names, o, command{manager.Restarted, true, func(j *job) string {
		if j.before.Up() {
			return up + j.makeWay()
		}
		return up
	}, (*job).awaitRestart})
}

// each gives all gateways their command and then waits for them.
func (m *Manager) each(names []string, o manager.Options, c command) []manager.Outcome {
	jobs := make([]*job, len(names))
	for i, name := range names {
		j := &job{Outcome: manager.Outcome{Name: name}, m: m, service: m.ScanDir.Service(name), deadline: slot.Deadline(o.Timeout), ready: o.Ready}
		j.Err = j.give(c, o)
		jobs[i] = j
	}
	told, deadline := time.Now(), slot.Deadline(o.Timeout)
	outcomes := make([]manager.Outcome, len(jobs))
	for i, j := range jobs {
		j.told, j.deadline = told, deadline
		if j.Err == nil {
			j.Err = cmp.Or(c.await(j, o), j.confirm(c, o))
		}
		if j.Err == nil && !c.wanted && !o.Here {
			j.Err = j.awaitElsewhere()
		}
		if o.Progress != nil && o.Wait {
			o.Progress(i+1, len(jobs))
		}
		outcomes[i] = j.Outcome
	}
	return outcomes
}

// give gives j's gateway its command and records it, both under the lock of its slot. So
// commands reach the supervisor in the order in which they are recorded.
func (j *job) give(c command, o manager.Options) error {
	if err := j.prepare(c, o); err != nil {
		return err
	}
	lock, err := j.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if j.before, err = j.service.Status(j.m.ScanDir.Programs); err != nil {
		return err
	}
	if !j.before.Supervised {
		return j.unsupervised()
	}
	if j.notifies, err = j.service.Notifies(); err != nil {
		return err
	}
	if !c.wanted && j.before.Up() {
		o.Intent.PlanStop(j.Name, j.before.PID)
	}
	j.ends, j.backsOff = ending(&j.before), c.wanted
	// Record first, because two processes read both: a follower that finds a slot at odds with
	// an earlier intent would undo this, and a stand-by that gets the fence goes by what is
	// recorded.
	o.Intent.Record(j.Name)
	if err := j.control(c.letters(j)); err != nil {
		return err
	}
	return j.taken(c.wanted)
}

// control sends commands to j's supervisor.
func (j *job) control(commands string) error {
	err := j.service.Control(commands)
	if fail.CodeOf(err) == fail.Absent {
		err = j.unsupervised() // it has exited since
	}
	return err
}

// taken waits until the supervisor has acted on the command, so that the next process finds
// the state that the command leads to.
func (j *job) taken(wanted bool) error {
	if err := j.wait(j.deadline, func(st *s6.Status) bool { return st.WantedUp == wanted || !st.Same(&j.before) }); err != nil {
		return j.timeout(err, "its supervisor has not taken the command in time")
	}
	var err error
	e := j.wait(time.Now().Add(markPatience), func(*s6.Status) bool {
		var normallyUp bool
		normallyUp, err = j.service.NormallyUp()
		j.marked = err == nil && normallyUp == wanted
		return err != nil || j.marked
	})
	if errors.Is(e, os.ErrDeadlineExceeded) {
		j.m.Warn("gateway '%s': its supervisor could not change %s/down; the next supervisor will do what was asked before", j.Name, j.service.Path())
		e = nil
	}
	return cmp.Or(err, e)
}

// markPatience is how long a supervisor gets to make or remove ./down.
const markPatience = 2 * time.Second

// lock locks out other commands to j's gateway until the result is closed.
func (j *job) lock() (*dir.Dir, error) {
	lock, err := j.m.ScanDir.Lock(j.Name, j.deadline)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		j.m.Warn("gateway '%s': another process keeps it locked; continuing without the lock", j.Name)
		err = nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = NoSuchGateway(j.Name) // unregistered meanwhile
	}
	return lock, err
}

// prepare registers j's gateway if only its profile exists, and makes sure that its supervisor
// has written a status.
func (j *job) prepare(c command, o manager.Options) error {
	there, err := j.service.Exists()
	var st s6.Status
	if err == nil && there {
		st, err = j.service.Status(j.m.ScanDir.Programs)
	}
	if err == nil && !there && o.Here {
		err = NoSuchGateway(j.Name)
	}
	if err == nil && !st.Supervised {
		if err = j.complete(there, !c.wanted, o.Timeout); err == nil {
			st, err = j.service.Status(j.m.ScanDir.Programs)
		}
	}
	if err == nil && st.Supervised && !st.Known {
		// Otherwise the first status of a new supervisor would later be mistaken for a result
		// of the command.
		err = j.timeout(j.wait(slot.Deadline(o.Timeout), func(st *s6.Status) bool { return st.Known }), "its supervisor has said nothing in time")
	}
	return err
}

// complete registers j's gateway from its record if it has no slot, or a slot that a killed
// run may have left without telling s6-svscan.
func (j *job) complete(there, down bool, timeout time.Duration) error {
	m := j.m
	if there {
		if held, err := m.ScanDir.Held(j.Name); err != nil || !held || m.Home == nil {
			return err
		}
	} else if err := m.hasProfile(j.Name); err != nil {
		return err
	}
	if !there {
		m.Info("profile %s: no slot yet; registering it first", j.Name)
	}
	_, err := m.Register(j.Name, Registration{Recorded: true, Down: down, Keep: true, Timeout: timeout})
	return err
}

// hasProfile returns an error if there is no profile name to make a slot for.
func (m *Manager) hasProfile(name string) error {
	if m.Home == nil && m.HomeErr != nil && !errors.Is(m.HomeErr, fs.ErrNotExist) {
		return m.HomeErr
	}
	known, err := m.Home != nil, error(nil)
	if known {
		known, err = m.Home.Has(name)
	}
	if err == nil && !known {
		err = fail.Hint(fail.Errorf(fail.Absent, "no such gateway '%s'", name),
			"create its profile with `hermes profile create %s`, or register it with hermes-svc-register", name)
	}
	return err
}

// unsupervised returns the error for a slot that is not supervised. It has the words of
// s6-svc, for callers that know them. Exit code 102 means that there is no slot.
func (j *job) unsupervised() error {
	if there, err := j.service.Exists(); err != nil || !there {
		return cmp.Or(err, NoSuchGateway(j.Name))
	}
	repair := "`s6-svscanctl -a " + j.m.ScanDir.ScanDir + "` has s6-svscan take it up"
	if !j.m.ScanDir.Alive() {
		repair = "no s6-svscan is watching " + j.m.ScanDir.ScanDir
	}
	return fail.Errorf(fail.Program, "gateway '%s': its slot is not supervised: %s%s", j.Name, repair, j.refusal())
}

// refusal is what s6-svc says about a missing supervisor, as the end of a message.
func (j *job) refusal() string {
	if err := j.service.Listens(j.m.ScanDir.Programs); err != nil {
		return " (" + err.Error() + ")"
	}
	return ""
}

// confirm checks the final state, with other commands locked out. It reports that state, and
// repairs the record if what was asked for still holds.
func (j *job) confirm(c command, o manager.Options) error {
	lock, err := j.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	st, err := j.service.Status(j.m.ScanDir.Programs)
	if err != nil {
		return err
	}
	// A gateway that gave up is no longer wanted up, but was not stopped.
	normallyUp, err := j.service.NormallyUp()
	switch {
	case err != nil:
		return err
	case normallyUp == c.wanted || !j.marked:
		o.Intent.Confirm(j.Name)
	case o.Wait && normallyUp:
		return fail.Errorf(fail.No, "gateway '%s': somebody else started it again", j.Name)
	case o.Wait:
		return j.stopped()
	}
	j.Action = c.action
	if j.StandsBy != "" {
		j.Action = manager.StoodBy
	}
	if st.Supervised && st.Up() {
		j.PID = st.PID
	}
	return nil
}
