//go:build linux

// Command gateway stands in for hermes where a test asks whether a gateway runs once.
// It is one process without children, which holds a lock of its own kind from its first
// moment to its last, and says so in the home where another has it.
//
// The lock is a record lock on what it has open as descriptor 0. The kernel closes the
// descriptors of a process that ends in their order: this lock falls before the fence
// does, which is above it, so that nobody who goes by the fence finds it held.
//
// In its profile's directory it keeps
//
//	running   while it runs, made with O_EXCL: who it is. One that is killed leaves it.
//	lives     a line for each start, and for each end that is no SIGKILL
//	printed/  where there is a file "bursts", which has it print: how many lines each
//	          process has printed, as far as write(2) has returned
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// exitTerm is the exit code of one that is told to end.
const exitTerm = 128 + 15

// mostLines is how many lines a process prints at most, so that s6-log keeps them all.
const mostLines = 5000

func main() {
	g := gateway{began: time.Now(), end: make(chan os.Signal, 1)}
	signal.Notify(g.end, unix.SIGTERM)
	home := os.Getenv("HERMES_HOME")
	g.profile = "default"
	if len(os.Args) > 2 && os.Args[1] == "-p" {
		g.profile = os.Args[2]
		check(os.Chdir(filepath.Join(home, "profiles", g.profile)))
	} else {
		check(os.Chdir(home))
	}
	alone := g.lock()
	host, err := os.Hostname()
	check(err)
	g.id = fmt.Sprintf("%s/%d/%d", host, os.Getpid(), g.began.UnixNano())
	if alone {
		g.occupy()
	} else {
		other, _ := os.ReadFile("running")
		add(filepath.Join(home, "twice"), "%s: %s, beside %s", g.profile, g.id, other)
	}
	add("lives", "start %s port=%s TOKEN=%s", g.id, os.Getenv("HERMES_GATEWAY_PORT"), os.Getenv("TOKEN"))
	if _, err := os.Stat("bursts"); err == nil {
		g.print()
	}
	<-g.end
	g.leave(alone)
}

type gateway struct {
	profile string
	began   time.Time
	id      string
	end     chan os.Signal
}

// lock takes the lock, and tells whether it could.
func (g *gateway) lock() bool {
	fd, err := unix.Open("running.lock", unix.O_RDWR|unix.O_CREAT, 0o644)
	check(err)
	check(unix.Dup3(fd, 0, 0))
	check(unix.Close(fd))
	err = unix.FcntlFlock(0, unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if err == unix.EAGAIN || err == unix.EACCES {
		return false
	}
	check(err)
	return true
}

// occupy says who runs. What is there with nobody's lock is of one that was killed.
func (g *gateway) occupy() {
	if err := os.Remove("running"); err != nil && !os.IsNotExist(err) {
		check(err)
	}
	f, err := os.OpenFile("running", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	check(err)
	_, err = f.WriteString(g.id)
	check(err)
	check(f.Close())
}

// leave is an orderly end.
func (g *gateway) leave(alone bool) {
	if alone {
		check(os.Remove("running"))
	}
	add("lives", "end %s at %d", g.id, time.Now().UnixNano())
	os.Exit(exitTerm)
}

// print prints numbered lines in bursts until the end, and some then.
func (g *gateway) print() {
	printed := g.counter()
	burst := func(lines int) {
		for range lines {
			n := binary.NativeEndian.Uint64(printed)
			_, err := fmt.Printf("line %s %d.\n", g.id, n)
			check(err)
			binary.NativeEndian.PutUint64(printed, n+1)
		}
	}
	burst(100)
	for n := 100; n < mostLines-100; n += 10 {
		select {
		case s := <-g.end:
			burst(100)
			g.end <- s
			return
		case <-time.After(40 * time.Millisecond):
			burst(10)
		}
	}
}

// counter returns what outlives us, wherever we are killed.
func (g *gateway) counter() []byte {
	if err := os.Mkdir("printed", 0o755); err != nil && !os.IsExist(err) {
		check(err)
	}
	f, err := os.Create(filepath.Join("printed", fmt.Sprint(g.began.UnixNano())))
	check(err)
	defer f.Close()
	check(f.Truncate(8))
	memory, err := unix.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	check(err)
	return memory
}

// add adds a line to a file, at once.
func add(path, format string, args ...any) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	check(err)
	_, err = fmt.Fprintf(f, format+"\n", args...)
	check(err)
	check(f.Close())
}

// check ends us with what a test takes for a fault of ours: it would look into twice.
func check(err error) {
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "gateway:", err)
	if f, e := os.OpenFile(filepath.Join(os.Getenv("HERMES_HOME"), "twice"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); e == nil {
		fmt.Fprintf(f, "the stand-in itself: %v\n", err)
	}
	os.Exit(1)
}
