//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"hermes-s6/lib/s6/s6test"
)

// This file measures the memory of programs that stay until they are ended. It measures, and
// ends them, when they have printed what they print at first and are idle.

// A stayer is such a program while it runs.
type stayer struct {
	contender
	cmd    *exec.Cmd
	cancel context.CancelFunc
}

// start starts c and returns when said is true for a line that c writes to stdout, stderr or
// descriptor 3.
func (p *place) start(c contender, said func(line string) bool) (*stayer, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	s := &stayer{contender: c, cmd: exec.CommandContext(ctx, c.args[0], c.args[1:]...), cancel: cancel}
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr, s.cmd.ExtraFiles = p.env, w, w, []*os.File{w}
	err = s.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		cancel()
		return nil, err
	}
	lines, last := bufio.NewScanner(r), ""
	for lines.Scan() {
		if last = lines.Text(); said(last) {
			go func() { // whatever it prints later, it must not wait for us
				_, _ = io.Copy(io.Discard, r)
				r.Close()
			}()
			return s, nil
		}
	}
	r.Close()
	return nil, fmt.Errorf("%s: it ended too early, and said last: %s: %w", c, last, cmp.Or(s.end(), lines.Err()))
}

// end ends it. It is no error if that was what ended it.
func (s *stayer) end() error {
	defer s.cancel()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	err := s.cmd.Wait()
	if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGTERM {
		return nil
	}
	return err
}

// peak returns its peak memory in MB when it is idle. The kernel begins to count with the
// program: after a program executes another, the peak is that of the other.
func (s *stayer) peak() (float64, error) {
	if err := s.awaitIdle(); err != nil {
		return 0, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\nVmHWM:")
	kb, _, _ := strings.Cut(rest, " kB")
	n, err := strconv.ParseFloat(strings.TrimSpace(kb), 64)
	return n / 1024, err
}

// awaitProgram waits until it has executed the program name.
func (s *stayer) awaitProgram(name string) error {
	return s6test.AwaitErr(func() error {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.cmd.Process.Pid))
		if now := strings.TrimSpace(string(comm)); err == nil && now != name {
			err = fmt.Errorf("%s: it is %s, not %s: %w", s, now, name, s6test.ErrNot)
		}
		return err
	})
}

// awaitIdle waits until it has used no processor time for a while.
func (s *stayer) awaitIdle() error {
	const while = 20 // looks, 10 ms apart
	used, same := "", 0
	return s6test.AwaitErr(func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
		if err != nil {
			return err
		}
		// After the name, which may contain anything, utime is the 12th field and stime the 13th.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		now := fmt.Sprintf("%s %s", fields[11], fields[12])
		if same++; now != used {
			used, same = now, 0
		}
		if same < while {
			return fmt.Errorf("%s: it is still busy: %w", s, s6test.ErrNot)
		}
		return nil
	})
}

// settled returns the peak of c, which stays, after said is true for a line of it.
func (p *place) settled(c contender, said func(line string) bool) func() (float64, error) {
	return func() (mb float64, err error) {
		if c.before != nil {
			if err := c.before(); err != nil {
				return 0, err
			}
		}
		s, err := p.start(c, said)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, s.end()) }()
		return s.peak()
	}
}

// nth is true for line n.
func nth(n int) func(string) bool {
	return func(string) bool { n--; return n <= 0 }
}

// has is true for a line that contains text.
func has(text string) func(string) bool {
	return func(line string) bool { return strings.Contains(line, text) }
}

// ready is true for an empty line, which is what a notification is.
func ready(line string) bool { return line == "" }
