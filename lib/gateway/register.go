//go:build linux

package gateway

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// What Register can do, as manager.Registered.Action.
const (
	registered = "registered"
	updated    = "updated"
	unchanged  = "unchanged"
	kept       = "kept"
)

// A registration is one Register under way.
type registration struct {
	*S6
	manager.Registration
	name     string
	deadline time.Time
	aside    string // what became of a record that is no use
}

// Register implements manager.ServiceManager. Whatever line is the last: before
// publish nothing is there but a hold, which the next of us cleans up, and a
// record, which says what was asked for; after it, the slot is whole.
func (m *S6) Register(name string, asked manager.Registration) (manager.Registered, error) {
	r := &registration{S6: m, Registration: asked, name: name}
	if m.Registrar != nil {
		if r.Recorded {
			if _, err := r.recorded(); err != nil {
				return manager.Registered{}, err
			}
		}
		return m.askRegister(name, r.Registration)
	}
	m.sweep()
	done, err := r.hold()
	if err == nil && r.aside != "" {
		r.Warn("profile %s: what was on record of it is no use: it is kept as %s", name, r.aside)
	}
	if err == nil && r.Wait {
		err = r.awaitUp()
	}
	if err != nil {
		return done, err
	}
	service := m.Scan.Service(name)
	done.Path = service.Path()
	if done.Port = r.Settings.InForce(); done.Action == kept {
		done.Port = m.Scan.Port(name)
	}
	st, err := service.Status(m.Scan.Programs)
	done.Supervised = st.Supervised
	return done, err
}

// Preview returns what Register would write, by path, and touches nothing.
func (m *S6) Preview(name string, asked manager.Registration) ([]script.File, error) {
	r := &registration{S6: m, Registration: asked, name: name}
	there, err := m.Scan.Exists(name)
	switch {
	case err != nil, there && r.Keep:
		return nil, err
	case there && !r.Replace:
		return nil, slot.ErrExists(name)
	}
	d, err := r.define()
	if err != nil {
		return nil, err
	}
	files := script.Render(d)
	for i := range files {
		files[i].Name = m.Scan.Service(name).Path() + "/" + files[i].Name
	}
	path, data, err := m.Home.Preview(name, r.Settings)
	if err == nil && path != "" {
		files = append(files, script.File{Name: path, Mode: 0o600, Data: string(data)})
	}
	return files, err
}

// recorded returns what is on record, which is what is asked for where that is so. One
// that is no use is about to be moved aside else, and is none.
func (r *registration) recorded() (profile.Settings, error) {
	old, err := r.Home.Settings(r.name)
	if !r.Recorded {
		return old, nil
	}
	if err != nil {
		return old, fmt.Errorf("profile %s: %w", r.name, err)
	}
	r.Settings = old
	return old, nil
}

// define gives the settings their port and makes a definition of them.
func (r *registration) define() (*script.Definition, error) {
	old, err := r.recorded()
	if err != nil {
		return nil, err
	}
	common, err := r.Common(r.Settings.Dialect)
	if err != nil {
		return nil, err
	}
	if r.Settings.Port == 0 {
		// The port that it was given once stays with a profile.
		r.Settings.DerivedPort = old.DerivedPort
		if old.InForce() == 0 {
			r.Settings.DerivedPort = r.Scan.Port(r.name)
		}
	}
	others, err := r.Scan.Profiles()
	if err != nil {
		return nil, err
	}
	ports, err := r.Home.Ports(r.name, others, r.Scan.Port)
	if err != nil {
		return nil, err
	}
	port := ports.Claim(r.name, &r.Settings)
	if owner := ports.Owner(port); owner != r.name {
		r.Warn("port %d: profile %s has it too", port, owner)
	}
	return &script.Definition{Common: common, Profile: r.name, Port: port, Settings: &r.Settings, Down: r.Down}, nil
}

// hold does what is to be done while nobody else may touch the slot.
func (r *registration) hold() (done manager.Registered, err error) {
	hold, err := r.Scan.Hold(r.name, slot.Deadline(r.Timeout))
	if err != nil {
		return done, err
	}
	defer hold.Release()
	// Waiting for others, or cleaning up after one, was not s6's time.
	r.deadline = slot.Deadline(r.Timeout)
	there, err := hold.Exists()
	switch {
	case err != nil:
		return done, err
	case there && r.Keep:
		return manager.Registered{Action: kept}, r.supervise(hold)
	case there && r.Replace:
		return r.replace(hold)
	case there:
		return done, slot.ErrExists(r.name)
	}
	return manager.Registered{Action: registered}, r.create(hold)
}

// supervise has a slot that was there before supervised, if it is not.
func (r *registration) supervise(hold *slot.Hold) error {
	if st, err := r.status(r.name); err != nil || st.Supervised {
		return err
	}
	return hold.Supervise(r.Timeout)
}

// write puts the record in place and then the slot, by publish, with the handing out
// of ports locked: between finding a free port and being seen to have it nobody else
// may find it. A slot without its record would forget its settings at the next
// restart, so the record comes first.
func (r *registration) write(publish func(*script.Definition) error) (undo func() error, err error) {
	unlock, err := r.Scan.LockPorts(r.Home, r.Timeout)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r.deadline = slot.Deadline(r.Timeout) // this was not s6's time, either
	d, err := r.define()
	if err != nil {
		return nil, err
	}
	var undoRecord func() error
	r.aside, undoRecord, err = r.Home.Record(r.name, r.Settings)
	if err != nil {
		return nil, err
	}
	undoLogs, err := r.Home.MakeLogDir()
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
	if err := hold.Supervise(r.Timeout); err != nil {
		return r.after(err, hold.Undo, undo)
	}
	return nil
}

// replace changes the slot in place.
func (r *registration) replace(hold *slot.Hold) (done manager.Registered, err error) {
	lock, err := r.Scan.Lock(r.name, r.deadline)
	if err != nil && !slot.Unlockable(err) {
		return done, err
	}
	defer lock.Close()
	// A new definition does not start what an operator has stopped.
	r.Down = r.Down || r.Home.DesiredState(r.name) == profile.Stopped
	var change slot.Change
	undo, err := r.write(func(d *script.Definition) (err error) {
		change, err = hold.Put(d)
		return err
	})
	if err != nil {
		return done, err
	}
	st, err := r.status(r.name)
	if err == nil && !st.Supervised {
		if err = hold.Supervise(r.Timeout); err != nil {
			return done, r.after(err, hold.Restore, undo)
		}
	}
	if err != nil {
		return done, err
	}
	if len(change.Files) == 0 {
		return manager.Registered{Action: unchanged}, nil
	}
	done = manager.Registered{Action: updated, Affected: st.Supervised && st.Up() && slices.Contains(change.Files, "run")}
	if done.Affected {
		r.Warn("profile %s: its gateway (pid %d) runs by the old definition until its next start", r.name, st.PID)
	} else {
		r.Info("profile %s: changed %v, which counts from its gateway's next start or death", r.name, change.Files)
	}
	return done, nil
}

// awaitUp waits until the gateway is up, as a start does. One that is not to run, since
// it was stopped or gave up, is no start of ours: there is nothing to wait for.
func (r *registration) awaitUp() error {
	j := &job{Outcome: manager.Outcome{Name: r.name}, m: r.S6, service: r.Scan.Service(r.name), deadline: r.deadline}
	st, err := j.service.Status(r.Scan.Programs)
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
		err = fail.Errorf(fail.No, "it is being stopped")
	default:
		err = fail.Errorf(fail.No, "it is stopped; `hermes-svc start %s` starts it", r.name)
	}
	if err != nil {
		return fail.Errorf(fail.CodeOf(err), "profile %s: registered, but not up: %w", r.name, err)
	}
	return nil
}
