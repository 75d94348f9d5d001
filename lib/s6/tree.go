//go:build linux

// Package s6 knows the supervision tree: where s6's programs are, how to have s6-svscan
// rescan, and what supervise/ in a service directory says and accepts. It reads and commands
// services but never makes, moves or removes one. Package slot knows what is in their scripts.
// Facts about s6 carry the source file they come from.
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

// Command is where s6-overlay and slashpackage installations have the programs of s6 and execline.
const Command = "/command"

// debianExecline is where Debian has execline's programs. Only execlineb is on PATH, and it
// prepends this directory.
const debianExecline = "/usr/lib/execline/bin"

// Programs finds the programs of s6 and execline. Its value is the absolute path of their
// directory. "" means /command if that exists, else PATH.
type Programs string

// Path returns the absolute path of s6's program name, or an error with exit code 127.
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

// Find is Path for the programs that scripts run, which may be elsewhere: Debian has
// execline's programs in their own directory, and a directory that was named may hold only the
// programs that its owner wanted to replace.
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

// run runs program name to its end, at most until deadline (zero: no limit). An error names
// the program and has what it printed on stderr, on one line.
func (p Programs) run(deadline time.Time, name string, args ...string) (stdout []byte, err error) {
	path, err := p.Path(name)
	if err != nil {
		return nil, err
	}
	return proc.Run(deadline, name, path, args...)
}

// A Tree is a supervision tree: a scan directory and the programs that go with it.
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

// Reap is Rescan, but also has s6-svscan stop the supervisors of directories that have left
// the scan directory.
func (t Tree) Reap(deadline time.Time) error {
	_, err := t.Programs.run(deadline, "s6-svscanctl", "-an", t.ScanDir)
	return err
}

// Watched reports whether the scan directory is, or was, used by an s6-svscan.
func (t Tree) Watched() bool {
	_, err := os.Lstat(filepath.Join(t.ScanDir, control))
	return !errors.Is(err, fs.ErrNotExist)
}

// Alive reports whether an s6-svscan is watching the scan directory now: opening the FIFO for
// writing gives ENXIO if no process reads it (fifo(7)).
func (t Tree) Alive() bool {
	fd, err := unix.Open(filepath.Join(t.ScanDir, control), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err != unix.ENXIO && err != unix.ENOENT && err != unix.ENOTDIR
}
