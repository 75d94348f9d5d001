//go:build linux

package gateway

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// A Registration is what is asked for when a gateway is registered.
type Registration struct {
	Settings profile.Settings
	// Recorded asks for what is on record instead of Settings. An unusable record is then an
	// error, and not moved aside.
	Recorded bool
	Down     bool // do not start it
	Keep     bool // leave an existing slot as it is
	Replace  bool // change an existing slot to this definition
	Wait     bool // until it is up
	Ready    bool // until it is ready
	Timeout  time.Duration
}

// Registered is what Register did.
type Registered struct {
	Path       string // of the service directory
	Action     string
	Port       int
	Supervised bool
	// Affected is set if the running gateway is not yet, until its next start, as asked for.
	Affected bool
}

// Values of Registered.Action.
const (
	registered = "registered"
	updated    = "updated"
	unchanged  = "unchanged"
	kept       = "kept"
)

// A registration is a Register call in progress.
type registration struct {
	*Manager
	Registration
	name     string
	deadline time.Time
	aside    string         // where an unusable record was moved
	undo     []func() error // for what was done, in order
}

// Register makes the slot of profile name and has it supervised.
func (m *Manager) Register(name string, asked Registration) (Registered, error) {
	r := &registration{Manager: m, Registration: asked, name: name}
	if m.Registrar != nil {
		return r.ask()
	}
	m.Sweep()
	done, err := r.register()
	if err == nil && r.aside != "" {
		r.Warn("profile %s: its record was unusable and is kept as %s", name, r.aside)
	}
	if err == nil && (r.Wait || r.Ready) {
		err = r.awaitUp()
	}
	if err != nil {
		return done, err
	}
	service := m.ScanDir.Service(name)
	done.Path = service.Path()
	if done.Port = r.Settings.InForce(); done.Action == kept {
		done.Port = m.ScanDir.Port(name)
	}
	st, err := service.Status(m.ScanDir.Programs)
	done.Supervised = st.Supervised
	return done, err
}

// register does the part during which no other process may touch the slot. It can be killed at
// any line. Before putSlot it leaves only a hold, which the next process cleans up, and a
// record, which says what was asked for. After putSlot the slot is complete.
func (r *registration) register() (done Registered, err error) {
	hold, err := r.ScanDir.Hold(r.name, slot.Deadline(r.Timeout))
	if err != nil {
		return done, err
	}
	defer hold.Release()
	// The time that we waited for others, or cleaned up after one, does not count.
	r.deadline = slot.Deadline(r.Timeout)
	there, err := hold.Exists()
	switch {
	case err != nil:
		return done, err
	case there && r.Keep:
		_, err := r.supervise(hold, there)
		return Registered{Action: kept}, err
	case there && !r.Replace:
		return done, slot.ErrExists(r.name)
	case there:
		lock, err := r.ScanDir.Lock(r.name, r.deadline)
		if err != nil && !slot.Unlockable(err) {
			return done, err
		}
		defer lock.Close()
		// A new definition does not start what an operator has stopped.
		r.Down = r.Down || r.Home.DesiredState(r.name) == profile.Stopped
	}
	// The lock closes a race: no other process may find the same port before our claim shows.
	unlock, err := r.ScanDir.LockPorts(r.Home, r.Timeout)
	if err != nil {
		return done, err
	}
	unlock = sync.OnceFunc(unlock)
	defer unlock()
	r.deadline = slot.Deadline(r.Timeout) // nor does the time for this lock count
	d, err := r.claim(true)
	if err != nil {
		return done, err
	}
	// The record comes first: without it a slot would lose its settings at the next restart.
	if err := r.record(); err != nil {
		return done, err
	}
	change, err := r.putSlot(hold, d, there)
	if err != nil {
		return done, r.undone(err)
	}
	unlock()
	st, err := r.supervise(hold, there)
	if err != nil {
		return done, err
	}
	return r.changed(change, &st), nil
}

// claim gives the settings their port and makes a definition of them. If the ports are locked,
// it remembers what it read.
func (r *registration) claim(locked bool) (*script.Definition, error) {
	old, err := r.recorded()
	if err != nil {
		return nil, err
	}
	if r.Settings.Port == 0 {
		// A profile keeps the port that it was given once.
		r.Settings.DerivedPort = old.DerivedPort
		if old.InForce() == 0 {
			r.Settings.DerivedPort = r.ScanDir.Port(r.name)
		}
	}
	ports, err := r.Home.Ports(r.name, r.ScanDir.Named, r.ScanDir.Ports())
	if err != nil {
		return nil, err
	}
	if locked {
		ports.Remember()
	}
	d, err := r.Define(ports, r.name, &r.Settings, r.Down)
	if err != nil {
		return nil, err
	}
	if other := ports.Of(d.Port); other != r.name {
		r.Warn("port %d: profile %s uses it too", d.Port, other)
	}
	return d, nil
}

// Define claims one of ports for the gateway of profile name, stores it in s, and makes a
// definition of s.
func (m *Manager) Define(ports *profile.Ports, name string, s *profile.Settings, down bool) (*script.Definition, error) {
	common, err := m.Common(s.Dialect)
	if err != nil {
		return nil, err
	}
	return &script.Definition{Common: common, Profile: name, Port: ports.Claim(name, s), Settings: s, Down: down}, nil
}

// recorded returns what is on record, and makes it the request if r.Recorded is set. In that
// case an unusable record is an error. Otherwise it will be moved aside, and counts as none.
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

// record records what is asked for, and makes the directory for logs.
func (r *registration) record() error {
	aside, undo, err := r.Home.Record(r.name, r.Settings)
	if err != nil {
		return err
	}
	undoLogs, err := r.Home.MakeLogDir()
	if err != nil {
		r.Warn("log directory: %v", err)
	}
	r.aside, r.undo = aside, append(r.undo, undo, undoLogs)
	return nil
}

// putSlot makes the slot, or changes an existing one.
func (r *registration) putSlot(hold *slot.Hold, d *script.Definition, there bool) (change slot.Change, err error) {
	if there {
		change, err = hold.Put(d)
	} else {
		change.Made = true
		err = hold.Publish(d)
	}
	switch {
	case err != nil:
	case change.Made:
		r.undo = append(r.undo, hold.Undo)
	default:
		r.undo = append(r.undo, hold.Restore)
	}
	return change, err
}

// supervise has the slot supervised if it is not, or undoes everything. It returns the status
// of a slot that existed before.
func (r *registration) supervise(hold *slot.Hold, there bool) (st s6.Status, err error) {
	if there {
		st, err = r.status(r.name)
	}
	if err != nil || st.Supervised {
		return st, err
	}
	if err := hold.Supervise(r.Timeout); err != nil {
		return st, r.undone(err)
	}
	return st, nil
}

// undone undoes what was done before err, the last step first, and returns err. If undoing
// fails too, it warns.
func (r *registration) undone(err error) error {
	for _, undo := range slices.Backward(r.undo) {
		if e := undo(); e != nil {
			r.Warn("undo: %v", e)
		}
	}
	return err
}

// changed returns what became of a slot with status st.
func (r *registration) changed(change slot.Change, st *s6.Status) Registered {
	switch {
	case change.Made:
		return Registered{Action: registered}
	case len(change.Files) == 0:
		return Registered{Action: unchanged}
	}
	affected := st.Supervised && st.Up() && slices.Contains(change.Files, script.RunFile)
	if affected {
		r.Warn("profile %s: its gateway (pid %d) keeps its old definition until it is started again", r.name, st.PID)
	} else {
		r.Info("profile %s: changed %v, which takes effect at its gateway's next start or death", r.name, change.Files)
	}
	return Registered{Action: updated, Affected: affected}
}

// Preview returns what Register would write, by path, and touches nothing.
func (m *Manager) Preview(name string, asked Registration) ([]script.File, error) {
	r := &registration{Manager: m, Registration: asked, name: name}
	there, err := m.ScanDir.Exists(name)
	switch {
	case err != nil, there && r.Keep:
		return nil, err
	case there && !r.Replace:
		return nil, slot.ErrExists(name)
	}
	d, err := r.claim(false)
	if err != nil {
		return nil, err
	}
	files := script.Render(d)
	for i := range files {
		files[i].Name = m.ScanDir.Service(name).Path() + "/" + files[i].Name
	}
	path, data, err := m.Home.Preview(name, r.Settings)
	if err == nil && path != "" {
		files = append(files, script.File{Name: path, Mode: 0o600, Data: string(data)})
	}
	return files, err
}
