//go:build linux

// Package slot knows slots, the service directories of gateways: how a slot is published,
// changed in place and removed while s6-svscan watches, and what a killed run may leave
// behind. Package script decides what is in their files, package profile where profiles and
// settings come from, and package s6 what a supervisor says.
package slot

import (
	"fmt"
	"path/filepath"
	"slices"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

// A ScanDir is an open scan directory and the tree that watches it.
type ScanDir struct {
	s6.Tree
	dir *dir.Dir
}

// Open opens the scan directory of tree.
func Open(tree s6.Tree) (*ScanDir, error) {
	d, err := dir.Open(tree.ScanDir)
	if err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	return &ScanDir{Tree: tree, dir: d}, nil
}

// Close closes s. s may be nil.
func (s *ScanDir) Close() {
	if s != nil {
		s.dir.Close()
	}
}

// Writable reports whether we may make and remove slots in s.
func (s *ScanDir) Writable() bool { return s.dir.Writable() }

// Service returns profile name's slot as a service, whether it exists or not.
func (s *ScanDir) Service(name string) s6.Service {
	return s6.Service{In: s.dir, Name: profile.Slot(name)}
}

// Exists reports whether anything has the name of profile name's slot.
func (s *ScanDir) Exists(name string) (bool, error) { return s.dir.Exists(profile.Slot(name)) }

// Held reports whether a process is working on profile name's slot, or was killed while it did.
func (s *ScanDir) Held(name string) (bool, error) { return s.dir.Exists(holdName(name)) }

// AnyExist is Exists for any of several names.
func (s *ScanDir) AnyExist(names []string) (bool, error) {
	for _, name := range names {
		if there, err := s.Exists(name); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// Profiles is Profiles of s.
func (s *ScanDir) Profiles() ([]string, error) { return Profiles(s.dir) }

// Profiles lists the profiles that have a slot in the scan directory scan, by name. A link to
// a directory counts, because service directories are often linked into a scan directory. A
// stray file or a dangling link does not.
func Profiles(scan *dir.Dir) ([]string, error) {
	names, err := Named(scan)
	names = slices.DeleteFunc(names, func(name string) bool {
		// If this cannot be determined, list the name, so that later errors mention it.
		there, err := (s6.Service{In: scan, Name: profile.Slot(name)}).Exists()
		return !there && err == nil
	})
	return names, err
}

// Named lists the profiles for which anything in scan has the name of a slot, by name. It is
// for callers that examine each of them anyway.
func Named(scan *dir.Dir) ([]string, error) {
	all, err := scan.Names()
	names := all[:0]
	for _, n := range all {
		if name, ok := profile.FromSlot(n); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// Port returns the port that the slot of profile name was made with, or 0 if none is found.
func (s *ScanDir) Port(name string) int {
	run, err := s.dir.Read(runFile(name), script.MaxSize)
	if err != nil {
		return 0
	}
	return script.Port(string(run))
}

// runFile returns the path of a slot's run script in the scan directory.
func runFile(name string) string { return profile.Slot(name) + "/" + script.RunFile }

// Named is Named of s.
func (s *ScanDir) Named() ([]string, error) { return Named(s.dir) }

// Ports returns where the ports of slots are.
func (s *ScanDir) Ports() profile.PortFiles {
	return profile.PortFiles{Dir: s.dir, UID: -1, GID: -1, File: runFile, Port: s.Port}
}

// Exposed reports whether we are root and others may make slots in s. s6-svscan has root run
// those slots, so protecting ours is then useless.
func (s *ScanDir) Exposed() bool {
	st, err := s.dir.Stat(".")
	return err == nil && euid() == 0 && (st.Uid != 0 || st.Mode&0o022 != 0)
}

// ScanPath returns the path of a scan directory for script.SlotVariable. It is the same for
// all names of the directory.
func ScanPath(scanDir string) string {
	path, err := filepath.Abs(scanDir)
	if err != nil {
		return scanDir
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
