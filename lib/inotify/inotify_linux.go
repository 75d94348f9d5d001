// Package inotify reports what happens in directories, by inotify(7), and waits for it.
package inotify

import (
	"encoding/binary"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// A Watch is an inotify instance. FD is readable when something has happened. It is -1 if no
// instance is available: each user can have 128, which a busy host uses up.
type Watch struct{ FD int }

// An Event is what happened in a directory.
type Event struct {
	Dir  int32  // the number that Add returned; -1 if events were lost
	Mask uint32 // unix.IN_…
	Name string // of the directory's entry, "" for the directory itself
}

// Lost reports whether the kernel dropped events: anything may have happened.
func (e *Event) Lost() bool { return e.Mask&unix.IN_Q_OVERFLOW != 0 }

// Ended reports whether the directory is no longer watched: it was removed or unmounted.
func (e *Event) Ended() bool { return e.Mask&unix.IN_IGNORED != 0 }

// New returns a Watch that watches nothing. It returns one even with an error.
func New() (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	return &Watch{FD: fd}, err
}

// Close ends all watches. w may be nil.
func (w *Watch) Close() {
	if w != nil && w.FD >= 0 {
		unix.Close(w.FD)
	}
}

// Add watches the directory that path leads to now, for the events in mask. A directory that
// is added again keeps its number.
func (w *Watch) Add(path string, mask uint32) (dir int32, err error) {
	n, err := unix.InotifyAddWatch(w.FD, path, mask|unix.IN_ONLYDIR)
	return int32(n), err
}

// AddMore is Add for a directory that may already be watched for other events. AddFile does
// that for a file, but not for a link to one.
func (w *Watch) AddMore(path string, mask uint32) (dir int32, err error) {
	return w.Add(path, mask|unix.IN_MASK_ADD)
}

func (w *Watch) AddFile(path string, mask uint32) (file int32, err error) {
	n, err := unix.InotifyAddWatch(w.FD, path, mask|unix.IN_MASK_ADD|unix.IN_DONT_FOLLOW)
	return int32(n), err
}

// Remove stops watching a directory.
func (w *Watch) Remove(dir int32) { _, _ = unix.InotifyRmWatch(w.FD, uint32(dir)) }

// Read calls happened with each pending event, as many as fit in buf, and reports whether
// there were any. It does not block.
func (w *Watch) Read(buf []byte, happened func(Event)) bool {
	n, err := unix.Read(w.FD, buf)
	if n <= 0 || err != nil {
		return false
	}
	for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		happened(Event{
			Dir:  int32(binary.NativeEndian.Uint32(b)),
			Mask: binary.NativeEndian.Uint32(b[4:]),
			Name: unix.ByteSliceToString(b[unix.SizeofInotifyEvent:end]),
		})
		b = b[end:]
	}
	return true
}

// Await is Poll, but nothing else ends it; zero is never due. It reports whether out has lost
// its reader, which it checks unless out is negative.
func Await(due time.Time, out int, fds ...int) (unread bool, err error) {
	polled := []unix.PollFd{{Fd: int32(out)}} // POLLERR is reported even if not asked for
	for _, fd := range fds {
		polled = append(polled, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	for {
		left := -1
		if !due.IsZero() {
			left = milliseconds(time.Until(due))
		}
		if _, err = unix.Poll(polled, left); err != unix.EINTR {
			return polled[0].Revents != 0, os.NewSyscallError("poll", err)
		}
	}
}

// milliseconds rounds up, and limits the result to an hour.
func milliseconds(left time.Duration) int {
	left = min(max(0, left), time.Hour)
	return int((left + time.Millisecond - 1) / time.Millisecond)
}

// OnSignal returns a descriptor that becomes readable on each signal s from now on.
func OnSignal(s os.Signal) (fd int, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, os.NewSyscallError("pipe", err)
	}
	got := make(chan os.Signal, 1)
	signal.Notify(got, s)
	go func() {
		for range got {
			_, _ = unix.Write(ends[1], []byte{0})
		}
	}()
	return ends[0], nil
}

// Signalled reports whether a descriptor of OnSignal has become readable since the last call.
func Signalled(fd int) bool {
	var some [64]byte
	n, _ := unix.Read(fd, some[:])
	return n > 0
}

// Poll waits until one of fds is readable, or until due. It ignores negative descriptors. A
// signal ends it early, and so does an hour.
func Poll(due time.Time, fds ...int) error {
	polled := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		polled[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	_, err := unix.Poll(polled, milliseconds(time.Until(due)))
	if err == unix.EINTR {
		return nil
	}
	return os.NewSyscallError("poll", err)
}
