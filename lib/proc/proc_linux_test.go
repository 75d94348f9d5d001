package proc

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/must"
)

// With this variable set, init ends the first thread of this program, while another thread
// reads until its input ends.
const firstThreadEnds = "PROC_TEST_FIRST_THREAD_ENDS"

func init() {
	if os.Getenv(firstThreadEnds) == "" {
		return
	}
	go func() {
		runtime.LockOSThread()
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

// group starts a process group without its leader. Each of its processes ends with its pipe.
func group(t *testing.T, processes int) (pgid int, pids []int, pipes []io.Closer) {
	t.Helper()
	var leader *exec.Cmd
	for range processes {
		cmd := exec.Command("cat")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
		pipe, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		must.Do(t, err)
		if pgid == 0 {
			pgid = cmd.Process.Pid
			leader = cmd
		} else {
			go cmd.Wait()
		}
		pids, pipes = append(pids, cmd.Process.Pid), append(pipes, pipe)
	}
	t.Cleanup(func() { _ = syscall.Kill(-pgid, syscall.SIGKILL) })
	pipes[0].Close()
	_ = leader.Wait()
	return pgid, pids[1:], pipes[1:]
}

// pidfds counts our descriptors that refer to process pid.
func pidfds(pid int) (n int) {
	files, _ := filepath.Glob("/proc/self/fdinfo/*")
	for _, file := range files {
		if info, err := os.ReadFile(file); err == nil && bytes.Contains(info, fmt.Appendf(nil, "\nPid:\t%d\n", pid)) {
			n++
		}
	}
	return n
}

// TestGroupEnds has a group end one process after the other, each when it is waited for.
func TestGroupEnds(t *testing.T) {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Skipf("there is nothing to see it wait by: %v", err)
	}
	unix.Close(fd)
	pgid, pids, pipes := group(t, 4)
	before := map[int]int{} // os/exec has some
	for _, pid := range pids {
		before[pid] = pidfds(pid)
	}
	ended := make(chan bool, 1)
	go func() { ended <- GroupEnds(pgid, time.Now().Add(10*time.Minute)) }()
	for i, pipe := range pipes {
		waits := func(pid int) bool { return pidfds(pid) > before[pid] }
		for limit := time.Now().Add(time.Minute); !slices.ContainsFunc(pids[i:], waits); time.Sleep(time.Millisecond) {
			select {
			case <-ended:
				t.Fatal("it ended before its last process")
			default:
			}
			if time.Now().After(limit) {
				t.Fatal("it waits for none of those that are left")
			}
		}
		pipe.Close()
	}
	if !<-ended {
		t.Error("it has not ended")
	}
}

// TestGroupStays gives up on a group that does not end.
func TestGroupStays(t *testing.T) {
	pgid, _, _ := group(t, 2)
	if GroupEnds(pgid, time.Now().Add(50*time.Millisecond)) {
		t.Error("it has ended")
	}
}

// TestFirstThreadEnds runs a process whose first thread has ended: to the kernel that thread
// is a zombie with the pid of the process.
func TestFirstThreadEnds(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{firstThreadEnds + "=yes", "GOMAXPROCS=4"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	must.Do(t, err)
	pid := cmd.Process.Pid
	t.Cleanup(func() { _ = syscall.Kill(-pid, syscall.SIGKILL); _ = cmd.Wait() })
	for limit := time.Now().Add(20 * time.Second); stat(strconv.Itoa(pid))[statState] != "Z"; {
		if time.Now().After(limit) {
			t.Fatalf("its first thread has not ended: %q", stat(strconv.Itoa(pid)))
		}
		time.Sleep(time.Millisecond)
	}
	if GroupEnds(pid, time.Now().Add(50*time.Millisecond)) {
		t.Errorf("it counts as dead: %q", stat(strconv.Itoa(pid)))
	}
	pipe.Close()
	if !GroupEnds(pid, time.Now().Add(20*time.Second)) { // still a zombie, because it has not been reaped
		t.Errorf("it counts as living: %q", stat(strconv.Itoa(pid)))
	}
}

// TestEnvironOfNone: nothing is known about a process that does not exist.
func TestEnvironOfNone(t *testing.T) {
	const none = 1<<22 - 1 // the largest possible pid (PID_MAX_LIMIT in the kernel)
	if values, ok := Environ(none, "PATH"); ok {
		t.Errorf("%q", values)
	}
	if values, ok := Environ(os.Getpid(), "PATH"); !ok || values[0] != os.Getenv("PATH") {
		t.Errorf("of ourselves: %q, %v", values, ok)
	}
}
