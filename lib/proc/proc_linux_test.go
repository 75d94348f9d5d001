package proc

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// With this variable this program is one whose first thread, which runs init, has
// ended, and another reads until its input ends.
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

// group starts a process group, whose leader is gone, of processes that each end with
// their pipe.
func group(t *testing.T, processes int) (pgid int, pipes []io.Closer) {
	t.Helper()
	var leader *exec.Cmd
	for range processes {
		cmd := exec.Command("cat")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
		pipe, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if pgid == 0 {
			pgid = cmd.Process.Pid
			leader = cmd
		} else {
			go cmd.Wait()
		}
		pipes = append(pipes, pipe)
	}
	t.Cleanup(func() { _ = syscall.Kill(-pgid, syscall.SIGKILL) })
	pipes[0].Close()
	_ = leader.Wait()
	return pgid, pipes[1:]
}

// TestGroupEnds has a group end one process after the other.
func TestGroupEnds(t *testing.T) {
	pgid, pipes := group(t, 4)
	ended := make(chan bool, 1)
	go func() { ended <- GroupEnds(pgid, time.Now().Add(time.Minute)) }()
	for _, pipe := range pipes {
		select {
		case <-ended:
			t.Fatal("it ended before its last process")
		case <-time.After(50 * time.Millisecond): // it is to wait
		}
		pipe.Close()
	}
	if !<-ended {
		t.Error("it has not ended")
	}
}

// TestGroupStays gives up on a group that does not end.
func TestGroupStays(t *testing.T) {
	pgid, _ := group(t, 2)
	if GroupEnds(pgid, time.Now().Add(50*time.Millisecond)) {
		t.Error("it has ended")
	}
}

// TestFirstThreadEnds has a process run on whose first thread has ended: for the kernel
// that thread is a zombie with the pid of the process.
func TestFirstThreadEnds(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{firstThreadEnds + "=yes", "GOMAXPROCS=4"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
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
	if !GroupEnds(pid, time.Now().Add(20*time.Second)) { // a zombie yet: nobody has waited for it
		t.Errorf("it counts as living: %q", stat(strconv.Itoa(pid)))
	}
}
