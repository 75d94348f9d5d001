//go:build linux

// Package gateway is the service manager of gateways under s6. It joins what a
// home records of a profile with the slot that is made of it: registering,
// unregistering, starting, stopping. How a slot is made, or a record kept, the
// packages slot and profile know.
package gateway

import (
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/registrar"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// S6 is the manager.ServiceManager of a supervision tree.
type S6 struct {
	Scan *slot.Scan
	Home *profile.Home // nil: there is none
	// HomeErr says why Home is nil, where something is to be said of that.
	HomeErr error
	// Common gives what slots in a dialect have in common.
	Common func(profile.Dialect) (*script.Common, error)
	// Registrar does what we may not; nil where we may.
	Registrar *registrar.Client
	// Warn and Info say what is no error.
	Warn, Info func(format string, args ...any)
}

var _ manager.ServiceManager = (*S6)(nil)

// Close closes what m works on.
func (m *S6) Close() {
	m.Home.Close()
	m.Scan.Close()
}

// SupportsRegistration implements manager.ServiceManager.
func (m *S6) SupportsRegistration() bool { return true }

// List implements manager.ServiceManager.
func (m *S6) List() ([]string, error) { return m.Scan.Profiles() }

// Running implements manager.ServiceManager.
func (m *S6) Running(name string) (pid int, up bool, err error) {
	st, err := m.status(name)
	if err != nil || !st.Supervised || !st.Up() {
		return 0, false, err
	}
	return st.PID, true, nil
}

// status is the status of profile name's slot; exit code 102 where it has none.
func (m *S6) status(name string) (s6.Status, error) {
	service := m.Scan.Service(name)
	there, err := service.Exists()
	if err == nil && !there {
		err = NoSuchGateway(name)
	}
	if err != nil {
		return s6.Status{}, err
	}
	return service.Status(m.Scan.Programs)
}

// NoSuchGateway is the answer for a profile that has no slot.
func NoSuchGateway(name string) error {
	return fail.Errorf(fail.Absent, "no such gateway '%s': register it with hermes-svc-register", name)
}

// sweep cleans up after killed runs.
func (m *S6) sweep() {
	for _, err := range m.Scan.Sweep() {
		m.Warn("leftover of a killed run: %v", err)
	}
}

// Unregister implements manager.ServiceManager.
func (m *S6) Unregister(names []string, timeout time.Duration) ([]manager.Outcome, error) {
	if m.Registrar != nil {
		return m.askUnregister(names, timeout), nil
	}
	m.sweep()
	there, err := m.Scan.AnyExist(names)
	if err == nil && there {
		_, err = m.Scan.Programs.Path("s6-svscanctl")
	}
	if err != nil {
		return nil, err
	}
	var outcomes []manager.Outcome
	for _, r := range m.Scan.Retire(names, timeout, m.forget) {
		o := manager.Outcome{Name: r.Profile, Killed: r.Killed, Err: r.Err}
		switch {
		case r.Err != nil:
		case r.Found:
			o.Action = manager.Removed
		default:
			o.Action = manager.Absent
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

func (m *S6) forget(name string) error {
	if m.Home == nil {
		return nil
	}
	if err := m.Home.Forget(name); err != nil {
		return fail.Errorf(fail.System, "profile %s: it has no slot any more, but its record stays: %w", name, err)
	}
	return nil
}
