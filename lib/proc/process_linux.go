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

// A Process is one that is held on to: its pid does not come to be another's unseen.
type Process struct {
	PID   int
	fd    int    // -1 before Linux 5.3, in a sandbox that forbids it, or where we have no more
	start uint64 // then it is known by this
}

// Find returns the processes that match, which is called for several at once, each to be
// released. A match that fails because the process has ended is none.
func Find(match func(*Process) bool) (found []Process) {
	all := pids()
	hits := make([]bool, len(all))
	par.Do(len(all), func(i int) { hits[i] = match(&Process{PID: all[i], fd: -1}) })
	for i, pid := range all {
		if !hits[i] {
			continue
		}
		p := Process{PID: pid, fd: -1}
		// Now it can end, and what has its pid then is held instead: so again.
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

// pids lists all processes there are.
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

// Forget lets go of p; true, for slices.DeleteFunc.
func (p *Process) Forget() bool {
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
	p.fd = -1
	return true
}

// Release lets go of all.
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

// UID returns whom p belongs to, -1 where there is no p any more.
func (p *Process) UID() int { return Owner(p.PID) }

// Owner returns whom process pid belongs to, -1 where there is none.
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

// WorksIn tells whether p's working directory is what st is of.
func (p *Process) WorksIn(st *unix.Stat_t) bool { return same(p.path("/cwd"), st) }

// HasOpen tells whether p has what st is of open.
func (p *Process) HasOpen(st *unix.Stat_t) bool {
	files, _ := os.ReadDir(p.path("/fd"))
	for _, f := range files {
		if same(p.path("/fd/")+f.Name(), st) {
			return true
		}
	}
	return false
}

// same tells whether path leads to what st is of.
func same(path string, st *unix.Stat_t) bool {
	var is unix.Stat_t
	return unix.Stat(path, &is) == nil && is.Dev == st.Dev && is.Ino == st.Ino
}

// End has all end: SIGTERM, and SIGKILL for those that are there at deadline.
func End(all []Process, deadline time.Time) {
	for i := range all {
		_ = all[i].Signal(unix.SIGTERM)
		_ = all[i].Signal(unix.SIGCONT) // one that is paused would not see it
	}
	AwaitEnds(all, deadline)
	for i := range all {
		_ = all[i].Signal(unix.SIGKILL)
	}
	AwaitEnds(all, time.Now().Add(groupGrace))
}

// AwaitEnds waits until all have ended, until deadline at the most, and tells whether
// they have.
func AwaitEnds(all []Process, deadline time.Time) bool {
	ended := true
	for i := range all {
		ended = all[i].ends(deadline) && ended
	}
	return ended
}

// ends waits until p has ended, until deadline at the most, and tells whether it has.
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

// Marked returns the processes whose environment had key=DIR/NAME when they were
// executed, by NAME, where that is wanted, but for us and those that we come from, and for those that
// somebody has at his terminal. DIR, an absolute path, must be for them what st is of:
// another container's, with the same pid namespace, is not meant.
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

// hasTerminal tells whether p has a controlling terminal: who closes that ends it.
func (p *Process) hasTerminal() bool {
	f := stat(strconv.Itoa(p.PID))
	return len(f) > statTTY && f[statTTY] != "0"
}

// mark returns NAME where prefix and NAME, which is wanted, are a variable of p's
// environment; "" where not.
func (p *Process) mark(prefix []byte, wanted func(string) bool) (name string) {
	environ, _ := p.environ()
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		if rest, ok := bytes.CutPrefix(v, prefix); ok && wanted(string(rest)) {
			name = string(rest)
		}
	}
	return name
}

// sees tells whether dir is for p what st is of. Links on the way lead where they do for p.
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

// Environ returns the values of keys in the environment that process pid was executed
// with, each "" where it has none, and false where that is not to be seen. All are "" as
// well while it executes another program.
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

// maxEnviron is more than execve(2) takes. A process can have the kernel show any of its
// memory as its environment (PR_SET_MM), and would have us take as much.
const maxEnviron = 8 << 20

// environ returns the environment that p was executed with, each variable with a NUL
// behind it.
func (p *Process) environ() (text []byte, err error) {
	err = unix.ESRCH // unless it is there to look at
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

// asItself calls look with p's account for files, as this thread has it meanwhile: the
// kernel shows a process's environment to its account, and to root only with
// CAP_SYS_PTRACE, which containers do without.
func (p *Process) asItself(look func()) {
	var owner unix.Stat_t
	if unix.Stat(p.path(""), &owner) != nil {
		return
	}
	if os.Geteuid() == 0 && (owner.Uid != 0 || owner.Gid != 0) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_, _ = unix.SetfsgidRetGid(int(owner.Gid)) // first: the user takes the right to
		_, _ = unix.SetfsuidRetUid(int(owner.Uid))
		defer func() {
			_, _ = unix.SetfsuidRetUid(0)
			_, _ = unix.SetfsgidRetGid(os.Getegid())
		}()
	}
	look()
}
