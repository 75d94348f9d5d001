package proc

import (
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

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
