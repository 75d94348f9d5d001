package proc

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strconv"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

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
	// Not by openat2(2), which old kernels and sandboxes lack. If a link is swapped just then, we
	// only look at something else.
	path, err := securejoin.SecureJoin("/proc/self/fd/"+strconv.Itoa(root), dir)
	return err == nil && same(path, st)
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
