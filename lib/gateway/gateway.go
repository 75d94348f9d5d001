//go:build linux

// Package gateway is the service manager of gateways under s6. It joins what a home records of
// a profile with the slot that is made of it: it registers, unregisters, starts and stops
// gateways, and asks the registrar for what only root may do. Packages slot and profile know
// how a slot is made and a record kept.
package gateway

import (
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
	"hermes-s6/lib/slot"
)

// A Manager is the manager.ServiceManager of a supervision tree.
type Manager struct {
	ScanDir *slot.ScanDir
	Home    *profile.Home // nil: there is none
	// HomeErr says why Home is nil, if that is to be reported.
	HomeErr error
	// Common returns what all slots in a dialect have in common.
	Common func(profile.Dialect) (*script.Common, error)
	// Registrar does what we may not do. It is nil if we may do everything.
	Registrar *Registrar
	// Warn and Info print messages that are not errors.
	Warn, Info func(format string, args ...any)
}

var _ manager.ServiceManager = (*Manager)(nil)

// Close closes m's home and scan directory.
func (m *Manager) Close() {
	m.Home.Close()
	m.ScanDir.Close()
}

// SupportsRegistration implements manager.ServiceManager.
func (m *Manager) SupportsRegistration() bool { return true }

// List implements manager.ServiceManager.
func (m *Manager) List() ([]string, error) { return m.ScanDir.Profiles() }

// Running implements manager.ServiceManager.
func (m *Manager) Running(name string) (pid int, up bool, err error) {
	st, err := m.status(name)
	if err != nil || !st.Supervised || !st.Up() {
		return 0, false, err
	}
	return st.PID, true, nil
}

// status returns the status of profile name's slot. It fails with exit code 102 if there is no
// slot.
func (m *Manager) status(name string) (s6.Status, error) {
	service := m.ScanDir.Service(name)
	there, err := service.Exists()
	if err == nil && !there {
		err = NoSuchGateway(name)
	}
	if err != nil {
		return s6.Status{}, err
	}
	return service.Status(m.ScanDir.Programs)
}

// NoSuchGateway returns the error for a profile that has no slot.
func NoSuchGateway(name string) error {
	return fail.Hint(fail.Errorf(fail.Absent, "no such gateway '%s'", name), "register it with hermes-svc-register")
}

// Sweep cleans up after killed runs.
func (m *Manager) Sweep() {
	for _, err := range m.ScanDir.Sweep() {
		m.Warn("leftover of a killed run: %v", err)
	}
}

// Unregister removes the slots of names, and their records.
func (m *Manager) Unregister(names []string, timeout time.Duration) ([]manager.Outcome, error) {
	if m.Registrar != nil {
		return m.askUnregister(names, timeout), nil
	}
	m.Sweep()
	there, err := m.ScanDir.AnyExist(names)
	if err == nil && there {
		_, err = m.ScanDir.Programs.Path("s6-svscanctl")
	}
	if err != nil {
		return nil, err
	}
	var outcomes []manager.Outcome
	for _, r := range m.ScanDir.Retire(names, timeout, m.forget) {
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

func (m *Manager) forget(name string) error {
	if m.Home == nil {
		return nil
	}
	if err := m.Home.Forget(name); err != nil {
		return fail.Errorf(fail.System, "profile %s: the slot is removed, but not the record: %w", name, err)
	}
	return nil
}
