//go:build linux

// Package s6test runs a real s6-svscan for tests and finds the processes that belong to it.
// Nothing is simulated: without s6 a test fails and says what to install.
package s6test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/must"
)

// Patience bounds every wait in a test. It is long, because a loaded machine is no failure,
// and only a failure reaches it.
const Patience = time.Minute

// Svscan is a running s6-svscan.
type Svscan struct {
	ScanDir string
	// Mark is in the environment of every process of the tree, and of no other.
	Mark string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start runs s6-svscan with args on scanDir, which it makes, and returns when s6-svscan
// accepts commands. env is its environment, nil for ours. The tree ends with the test, and a
// process that it leaves behind is a failure.
func Start(t testing.TB, scanDir string, env []string, args ...string) *Svscan {
	t.Helper()
	s, err := Run(scanDir, env, args...)
	must.Do(t, err)
	t.Cleanup(func() { must.Do(t, s.Stop()) })
	return s
}

// Run is Start without a test.
func Run(scanDir string, env []string, args ...string) (*Svscan, error) {
	if _, err := exec.LookPath("s6-svscan"); err != nil {
		return nil, fmt.Errorf("%w: run `make deps`, or install s6 and execline", err)
	}
	if err := os.MkdirAll(scanDir, 0o755); err != nil {
		return nil, err
	}
	if env == nil {
		env = os.Environ()
	}
	ready, notify, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	s := &Svscan{ScanDir: scanDir, Mark: "S6TEST_TREE=" + scanDir, done: make(chan struct{})}
	s.cmd = exec.Command("s6-svscan", append(append([]string{"-d", "3"}, args...), scanDir)...)
	s.cmd.Env = append(env, s.Mark)
	s.cmd.ExtraFiles = []*os.File{notify}
	log, err := os.Create(s.LogFile())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	err = s.cmd.Start()
	notify.Close()
	if err != nil {
		return nil, err
	}
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	if _, err := io.ReadAll(ready); err != nil {
		return nil, err
	}
	return s, nil
}

// MaxServices returns the arguments that limit s6-svscan to n services, at least 4: -c up to
// 2.13, then -C.
func MaxServices(n int) []string {
	// On an unknown option it exits before it looks at the directory.
	out, _ := exec.Command("s6-svscan", "-c", "4", "/nonexistent").CombinedOutput()
	if bytes.Contains(out, []byte("option")) {
		return []string{"-C", strconv.Itoa(n)}
	}
	return []string{"-c", strconv.Itoa(n)}
}

// LogFile is the file for the tree's stdout and stderr, including the loggers' copies.
func (s *Svscan) LogFile() string { return filepath.Clean(s.ScanDir) + ".log" }

// PID returns s6-svscan's pid.
func (s *Svscan) PID() int { return s.cmd.Process.Pid }

// Kill kills s6-svscan alone.
func (s *Svscan) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// Abort kills the whole tree, for services that do not stop by themselves.
func (s *Svscan) Abort() {
	s.Kill()
	for ps := s.Processes(); len(ps) > 0; ps = s.Processes() {
		for _, p := range ps {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
}

// Stop ends the tree. The error names the processes that it left behind, which are dead by then.
func (s *Svscan) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(Patience):
		s.Kill()
	}
	left := s.Processes
	deadline := time.Now().Add(Patience)
	for len(left()) > 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if ps := left(); len(ps) > 0 {
		for _, p := range ps {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
		return fmt.Errorf("s6test: the tree of %s left processes: %v", s.ScanDir, ps)
	}
	return nil
}

// A Process is a process of the tree.
type Process struct {
	PID     int
	Command string
}

func (p Process) String() string { return fmt.Sprintf("%d (%s)", p.PID, p.Command) }

// Processes lists the processes of the tree except s6-svscan.
func (s *Svscan) Processes() []Process {
	var found []Process
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		environ, err := os.ReadFile(dir + "/environ")
		if err != nil || pid == s.cmd.Process.Pid || !bytes.Contains(environ, []byte(s.Mark+"\x00")) {
			continue
		}
		command, err := os.ReadFile(dir + "/cmdline")
		if err == nil {
			found = append(found, Process{pid, strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " "))})
		}
	}
	return found
}

// ErrNot is what a condition of Await returns while it does not hold.
var ErrNot = errors.New("not so")

// Await waits until condition returns nil, and fails with its last error.
func Await(t testing.TB, condition func() error) {
	t.Helper()
	if err := AwaitErr(condition); err != nil {
		t.Fatalf("after %v: %v", Patience, err)
	}
}

// AwaitErr is Await without a test.
func AwaitErr(condition func() error) error {
	deadline := time.Now().Add(Patience)
	for {
		err := condition()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
