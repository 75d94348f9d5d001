package proc

import (
	"bytes"
	"os"
	"runtime"
	"slices"
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
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			p.fd = fd
		} else {
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

// Marked returns the processes whose environment had key=DIR/NAME for a wanted NAME when they
// were executed, by NAME. It leaves out ourselves, our ancestors, and processes that a user
// runs at a terminal. From the processes' point of view DIR, an absolute path, must be what st
// describes: another container in the same PID namespace may have another directory there.
func Marked(key, dir string, st *unix.Stat_t, wanted func(name string) bool) map[string][]Process {
	spared := map[int]bool{}
	for p := (Process{PID: os.Getpid()}); p.PID > 1 && !spared[p.PID]; p.PID = p.Parent() {
		spared[p.PID] = true
	}
	name := func(p *Process) string {
		if name := p.mark([]byte(key+"="+dir+"/"), wanted); name != "" && p.sees(dir, st) {
			return name
		}
		return ""
	}
	marked := map[string][]Process{}
	for _, p := range Find(func(p *Process) bool { return !spared[p.PID] && name(p) != "" && !p.hasTerminal() }) {
		if name := name(&p); name != "" {
			marked[name] = append(marked[name], p)
		} else {
			p.Forget() // it executes another program
		}
	}
	return marked
}

// hasTerminal reports whether p has a controlling terminal: it ends with that.
func (p *Process) hasTerminal() bool {
	f := stat(strconv.Itoa(p.PID))
	return len(f) > statTTY && f[statTTY] != "0"
}

// mark returns the wanted NAME if prefix and NAME are a variable of p's environment, else "".
func (p *Process) mark(prefix []byte, wanted func(string) bool) (name string) {
	environ, _ := p.environ()
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		if rest, ok := bytes.CutPrefix(v, prefix); ok && wanted(string(rest)) {
			name = string(rest)
		}
	}
	return name
}

// sees reports whether dir, from p's point of view, is what st describes. Links on the way
// lead where they lead p.
func (p *Process) sees(dir string, st *unix.Stat_t) bool {
	root, err := -1, error(nil)
	p.asItself(func() { root, err = unix.Open(p.path("/root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if err != nil || root < 0 {
		return false
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, dir, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return same("/proc/self/fd/"+strconv.Itoa(fd), st)
}

// Environ returns the values of keys in the environment with which process pid was executed,
// "" for each that it does not have. It returns false if the environment cannot be read. While
// the process executes another program, all values are "".
func Environ(pid int, keys ...string) (values []string, ok bool) {
	values = make([]string, len(keys))
	p := Process{PID: pid}
	environ, err := p.environ()
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		key, value, _ := bytes.Cut(v, []byte{'='})
		if i := slices.Index(keys, string(key)); i >= 0 {
			values[i] = string(value)
		}
	}
	return values, err == nil
}

// maxEnviron is more than execve(2) accepts. A process can make the kernel show any of its
// memory as its environment (PR_SET_MM), and could make us read that much.
const maxEnviron = 8 << 20

// environ returns the environment with which p was executed, each variable followed by a NUL.
func (p *Process) environ() (text []byte, err error) {
	err = unix.ESRCH // unless it exists
	p.asItself(func() {
		var fd int
		if fd, err = unix.Open(p.path("/environ"), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(fd)
		for n := 1; n > 0 && err == nil; text = text[:len(text)+max(n, 0)] {
			if len(text) > maxEnviron {
				text, err = nil, unix.E2BIG
				return
			}
			text = slices.Grow(text, 2048)
			n, err = unix.Read(fd, text[len(text):cap(text)])
		}
	})
	return text, err
}

// asItself calls look with p's account as this thread's account for files. The kernel shows a
// process's environment to that account, and to root only with CAP_SYS_PTRACE, which
// containers lack.
func (p *Process) asItself(look func()) {
	var owner unix.Stat_t
	if unix.Stat(p.path(""), &owner) != nil {
		return
	}
	if os.Geteuid() == 0 && (owner.Uid != 0 || owner.Gid != 0) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_, _ = unix.SetfsgidRetGid(int(owner.Gid)) // first, because changing the user removes the right to
		_, _ = unix.SetfsuidRetUid(int(owner.Uid))
		defer func() {
			_, _ = unix.SetfsuidRetUid(0)
			_, _ = unix.SetfsgidRetGid(os.Getegid())
		}()
	}
	look()
}
