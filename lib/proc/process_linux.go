package proc

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/par"
)

// A Process is a handle on a process: reuse of its pid does not go unnoticed.
type Process struct {
	PID   int
	fd    int    // -1 before Linux 5.3, in a sandbox that forbids it, or if we have no more descriptors
	start uint64 // identifies it in that case
}

// Find returns the matching processes, each of which must be released. It calls match for
// several at once. A match that fails because the process has ended does not count.
func Find(match func(*Process) bool) (found []Process) {
	all := pids()
	hits := make([]bool, len(all))
	par.Do(len(all), func(i int) { hits[i] = match(&Process{PID: all[i], fd: -1}) })
	for i, pid := range all {
		if !hits[i] {
			continue
		}
		p := Process{PID: pid, fd: -1}
		// The process may have ended just now, and its pid may have been reused for the one
		// that we hold. So match again.
		if p.fd = open(pid); p.fd < 0 {
			p.start, _ = StartTime(pid)
		}
		if match(&p) {
			found = append(found, p)
		} else {
			p.Forget()
		}
	}
	return found
}

// open returns a descriptor of process pid that signals can be sent through, -1 if there is
// none. A sandbox may allow the descriptor and deny the signal.
func open(pid int) (fd int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	if unix.PidfdSendSignal(fd, 0, nil, 0) != nil {
		unix.Close(fd)
		return -1
	}
	return fd
}

// pids lists all processes.
func pids() (all []int) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// Forget releases p. It returns true, for slices.DeleteFunc.
func (p *Process) Forget() bool {
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
	p.fd = -1
	return true
}

// Release releases all.
func Release(all []Process) {
	for i := range all {
		all[i].Forget()
	}
}

// Signal sends sig to p.
func (p *Process) Signal(sig unix.Signal) error {
	if p.fd >= 0 {
		return unix.PidfdSendSignal(p.fd, sig, nil, 0)
	}
	if start, ok := StartTime(p.PID); !ok || start != p.start {
		return unix.ESRCH
	}
	return unix.Kill(p.PID, sig)
}

func (p *Process) path(name string) string { return "/proc/" + strconv.Itoa(p.PID) + name }

// UID returns the owner of p, or -1 if p no longer exists.
func (p *Process) UID() int { return Owner(p.PID) }

// Owner returns the owner of process pid, or -1 if there is none.
func Owner(pid int) int {
	var st unix.Stat_t
	if unix.Stat("/proc/"+strconv.Itoa(pid), &st) != nil {
		return -1
	}
	return int(st.Uid)
}

// Name returns the name of the program that p runs, as far as the kernel keeps it.
func (p *Process) Name() string {
	return strings.TrimSuffix(string(Head(p.path("/comm"))), "\n")
}

// Parent returns the pid of p's parent.
func (p *Process) Parent() int {
	f := stat(strconv.Itoa(p.PID))
	if len(f) <= statTTY {
		return 0
	}
	parent, _ := strconv.Atoi(f[statParent])
	return parent
}

// WorksIn reports whether st describes p's working directory.
func (p *Process) WorksIn(st *unix.Stat_t) bool { return same(p.path("/cwd"), st) }

// HasOpen reports whether p has the file that st describes open.
func (p *Process) HasOpen(st *unix.Stat_t) bool {
	files, _ := os.ReadDir(p.path("/fd"))
	for _, f := range files {
		if same(p.path("/fd/")+f.Name(), st) {
			return true
		}
	}
	return false
}

// same reports whether path leads to the file that st describes.
func same(path string, st *unix.Stat_t) bool {
	var is unix.Stat_t
	return unix.Stat(path, &is) == nil && is.Dev == st.Dev && is.Ino == st.Ino
}

// End ends all: it sends SIGTERM, and SIGKILL to those that still exist at deadline.
func End(all []Process, deadline time.Time) {
	for i := range all {
		_ = all[i].Signal(unix.SIGTERM)
		_ = all[i].Signal(unix.SIGCONT) // a paused process would not see SIGTERM
	}
	AwaitEnds(all, deadline)
	for i := range all {
		_ = all[i].Signal(unix.SIGKILL)
	}
	AwaitEnds(all, time.Now().Add(groupGrace))
}

// AwaitEnds waits until all have ended, until deadline at most, and reports whether they have.
func AwaitEnds(all []Process, deadline time.Time) bool {
	ended := true
	for i := range all {
		ended = all[i].ends(deadline) && ended
	}
	return ended
}

// ends waits until p has ended, until deadline at most, and reports whether it has.
func (p *Process) ends(deadline time.Time) bool {
	if p.fd >= 0 {
		return awaitPidfd(p.fd, deadline)
	}
	for {
		start, _ := StartTime(p.PID)
		if f := stat(strconv.Itoa(p.PID)); len(f) <= statThreads || dead(f) || start != p.start {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pollEvery)
	}
}
