//go:build linux

// Package script knows the content of a slot's files: Render is a pure function of a
// Definition. It also knows which ends of a gateway count as deaths, and how long its finish
// script waits. Package slot knows how files get into a scan directory, package profile where
// settings come from.
package script

import (
	"os"
	"path/filepath"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
)

// A Common is what all slots of one run have in common: everything in a definition that does
// not belong to the profile.
type Common struct {
	Account profile.Account
	// ScanDir is the scan directory, as slot.ScanPath returns it.
	ScanDir string
	// Home is the data root for gateways whose environment has no HERMES_HOME when they start.
	Home string
	// Contenv is the program that loads the container's environment, "" for none.
	Contenv string
	// PortEnv is a second variable under which the port is exported, "" for none.
	PortEnv string
	// Deaths within Seconds are too many; there is no limit if Deaths is 0. This applies if
	// the finish script's environment has no HERMES_CRASH_LIMIT.
	Deaths, Seconds int
	Paths           Paths
}

// Paths are the absolute paths of the programs that the scripts run. Until the drop to the
// account nothing may be looked up on a PATH from the container's environment, which can lead
// into the home.
type Paths struct {
	Setuidgid, Log, Permafailon, Svstat string
	// Execlineb and the directory of execline's other programs. Both are "" for slots in sh.
	Execlineb, Execline string
}

// FindPaths finds the programs that slots in dialect run.
func FindPaths(p s6.Programs, dialect profile.Dialect) (Paths, error) {
	var found Paths
	var err error
	find := func(name string) (path string) {
		if err == nil {
			path, err = p.Find(name)
		}
		return path
	}
	found.Setuidgid = find("s6-setuidgid")
	found.Log = find("s6-log")
	found.Permafailon = find("s6-permafailon")
	found.Svstat = find("s6-svstat")
	if dialect == profile.Execline {
		found.Execlineb = find("execlineb")
		found.Execline = filepath.Dir(find("importas"))
		if err == nil && !isInterpreter(found.Execlineb) {
			err = fail.Errorf(fail.Usage, "%s: cannot be used on a #! line", found.Execlineb)
		}
	}
	return found, err
}

// isInterpreter reports whether path can be used on a #! line: that ends at a blank, and is
// short (execve(2)).
func isInterpreter(path string) bool {
	return filepath.IsAbs(path) && safe(path) && len(path) <= 100
}

// DefaultContenv is s6-overlay's with-contenv.
const DefaultContenv = s6.Command + "/with-contenv"

// FindContenv returns the program for Common.Contenv: the one that value, the content of
// HERMES_CONTENV, names ("none" for none), else s6-overlay's if it exists.
func FindContenv(value string) (string, error) {
	switch {
	case value == "none":
		return "", nil
	case value == "":
		if _, err := os.Stat(DefaultContenv); err != nil {
			return "", nil
		}
		return DefaultContenv, nil
	case !isInterpreter(value):
		return "", fail.Errorf(fail.Usage, "invalid HERMES_CONTENV %q: must be none, or an absolute path of at most 100 characters that sh takes as they are", value)
	}
	return value, nil
}

// A Definition is all that determines a slot's files.
type Definition struct {
	*Common
	Profile  string
	Port     int
	Settings *profile.Settings
	// Down keeps the gateway from starting by itself.
	Down bool
	// Standby makes the gateway leave its fence to other containers for a while.
	Standby bool
}

// Execline reports whether d is written in execline, not sh.
func (d *Definition) Execline() bool { return d.Settings.Dialect == profile.Execline }
