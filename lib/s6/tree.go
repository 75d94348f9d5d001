//go:build linux

// Package s6 knows the supervision tree: where s6's programs are, how to have
// s6-svscan rescan, and what a service directory's supervise/ says and takes.
// It reads and commands services but never makes, moves or removes one; what
// is in their scripts is package slot's business. Facts about s6 carry the
// source file they come from.
package s6

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/proc"
)

// Command is where s6-overlay and slashpackage installations have s6's and
// execline's programs.
const Command = "/command"

// debianExecline is where Debian has execline's programs; only execlineb is on
// PATH, and it prepends this directory.
const debianExecline = "/usr/lib/execline/bin"

// Programs finds the programs of s6 and execline. Its value is the directory
// that they are in, absolute; "" for /command where that exists, else PATH.
type Programs string

// Path returns the absolute path of s6's program name, or an error with exit
// code 127.
func (p Programs) Path(name string) (string, error) {
	dir := string(p)
	if dir == "" && isDir(Command) {
		dir = Command
	}
	where := "on PATH"
	if dir != "" {
		where, name = "in "+dir, filepath.Join(dir, name)
	}
	path, err := exec.LookPath(name)
	if err != nil || !filepath.IsAbs(path) {
		return "", fail.Hint(fail.Errorf(fail.NotFound, "%s: not found %s", filepath.Base(name), where),
		"install s6 and execline, or name their directory with --s6-bindir")
	}
	return path, nil
}

// Find is Path for the programs that scripts run, which may be elsewhere: on
// Debian execline's are in a directory of their own, and a directory that was
// named may hold only those that its owner wanted to be others.
func (p Programs) Find(name string) (string, error) {
	path, err := p.Path(name)
	for _, dir := range []string{"", debianExecline} {
		if err == nil {
			break
		}
		if found, e := exec.LookPath(filepath.Join(dir, name)); e == nil && filepath.IsAbs(found) {
			return found, nil
		}
	}
	return path, err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// run runs program name to its end, at most until deadline (zero: no limit).
// An error names it and says on one line what it printed on stderr.
func (p Programs) run(deadline time.Time, name string, args ...string) (stdout []byte, err error) {
	path, err := p.Path(name)
	if err != nil {
		return nil, err
	}
	return proc.Run(deadline, name, path, args...)
}

// A Tree is a supervision tree: a scan directory and the programs that go
// with it.
type Tree struct {
	ScanDir  string
	Programs Programs
}

// control is s6-svscan's control FIFO in a scan directory (S6_SVSCAN_CTLDIR).
const control = ".s6-svscan/control"

// Rescan has s6-svscan start a supervisor for each new service directory.
func (t Tree) Rescan(deadline time.Time) error {
	_, err := t.Programs.run(deadline, "s6-svscanctl", "-a", t.ScanDir)
	return err
}

// Reap is Rescan that also has s6-svscan stop the supervisors of directories
// that have left the scan directory.
func (t Tree) Reap(deadline time.Time) error {
	_, err := t.Programs.run(deadline, "s6-svscanctl", "-an", t.ScanDir)
	return err
}

// Watched tells whether the scan directory is, or was, an s6-svscan's.
func (t Tree) Watched() bool {
	_, err := os.Lstat(filepath.Join(t.ScanDir, control))
	return !errors.Is(err, fs.ErrNotExist)
}

// Alive tells whether an s6-svscan is watching the scan directory now: opening
// the FIFO for writing gives ENXIO where nobody reads (fifo(7)).
func (t Tree) Alive() bool {
	fd, err := unix.Open(filepath.Join(t.ScanDir, control), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err != unix.ENXIO && err != unix.ENOENT && err != unix.ENOTDIR
}
