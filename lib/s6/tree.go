// Package s6 knows the supervision tree: where s6's programs are, how to have
// s6-svscan rescan, and what a service directory's supervise/ says and takes.
// It reads and commands services but never makes, moves or removes one; what
// is in their scripts is package slot's business. Facts about s6 carry the
// source file they come from.
package s6

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fail"
)

// Command is where s6-overlay and slashpackage installations have s6's and
// execline's programs.
const Command = "/command"

// debianExecline is where Debian has execline's programs; only execlineb is on
// PATH, and it prepends this directory.
const debianExecline = "/usr/lib/execline/bin"

// Programs finds the programs of s6 and execline. Its value is the directory
// to look in first, "" for /command where that exists, else PATH.
type Programs string

// Path returns the absolute path of program name, or an error with exit code
// 127. A program that is not in the directory of p is looked for on PATH.
func (p Programs) Path(name string) (string, error) {
	for _, d := range []string{p.first(), "PATH", debianExecline} {
		var path string
		var err error
		if d == "PATH" {
			path, err = exec.LookPath(name)
		} else if d != "" {
			path, err = exec.LookPath(filepath.Join(d, name))
		}
		if err == nil && filepath.IsAbs(path) {
			return path, nil
		}
	}
	where := "on PATH"
	if p != "" {
		where = "in " + string(p) + " and on PATH"
	}
	return "", fail.Errorf(fail.NotFound, "%s: not found %s; install s6 and execline, or name their directory with --s6-bindir", name, where)
}

func (p Programs) first() string {
	if p == "" {
		return Command
	}
	return string(p)
}

// run runs program name to its end, at most until deadline (zero: no limit).
// An error names it and says on one line what it printed on stderr.
func (p Programs) run(deadline time.Time, name string, args ...string) (stdout []byte, err error) {
	path, err := p.Path(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if !deadline.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, deadline)
	}
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	// A child that it left behind must not hold us by the pipe.
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err = cmd.Output()
	if err == nil {
		return stdout, nil
	}
	if ctx.Err() != nil {
		return nil, fail.Errorf(fail.Timeout, "%s: timed out", name)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return nil, fail.Errorf(fail.Program, "%s: %w", name, err)
	}
	said := strings.Join(strings.Fields(stderr.String()), " ")
	if said != "" {
		said = ": " + said
	}
	return nil, fail.Errorf(fail.Program, "%s: %s%s", name, exit, said)
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
