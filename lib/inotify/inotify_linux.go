// Package inotify tells what happens in directories, by inotify(7), and waits for it.
package inotify

import (
	"encoding/binary"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// A Watch is an inotify instance. FD is readable when something has happened; it is -1
// where no instance could be had: there are 128 a user, which a busy host uses up.
type Watch struct{ FD int }

// An Event is what happened in a directory.
type Event struct {
	Dir  int32  // what Add returned of it; -1 where events were lost
	Mask uint32 // unix.IN_…
	Name string // of the directory's entry, "" for the directory itself
}

// Lost tells whether the kernel had more to tell than it keeps: anything may have happened.
func (e *Event) Lost() bool { return e.Mask&unix.IN_Q_OVERFLOW != 0 }

// Ended tells whether the directory is watched no more: it was removed or unmounted.
func (e *Event) Ended() bool { return e.Mask&unix.IN_IGNORED != 0 }

// New returns a Watch that watches nothing, also with an error.
func New() (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	return &Watch{FD: fd}, err
}

// Close forgets everything. Of a nil Watch it is nothing.
func (w *Watch) Close() {
	if w != nil && w.FD >= 0 {
		unix.Close(w.FD)
	}
}

// Add watches the directory that path is now, for the events in mask. Added again, a
// directory keeps its number.
func (w *Watch) Add(path string, mask uint32) (dir int32, err error) {
	n, err := unix.InotifyAddWatch(w.FD, path, mask|unix.IN_ONLYDIR)
	return int32(n), err
}

// AddMore is Add for a directory that may be watched for other events as well, and AddFile
// that for a file, and no link to one.
func (w *Watch) AddMore(path string, mask uint32) (dir int32, err error) {
	return w.Add(path, mask|unix.IN_MASK_ADD)
}

func (w *Watch) AddFile(path string, mask uint32) (file int32, err error) {
	n, err := unix.InotifyAddWatch(w.FD, path, mask|unix.IN_MASK_ADD|unix.IN_DONT_FOLLOW)
	return int32(n), err
}

// Remove watches a directory no more.
func (w *Watch) Remove(dir int32) { _, _ = unix.InotifyRmWatch(w.FD, uint32(dir)) }

// Read calls happened with each event that is there, as many as fit in buf, and tells
// whether there were any. It does not wait.
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

// Await is Poll that ends for nothing else: zero is never due. It tells whether nobody is
// left who reads out, which is looked for unless that is below 0.
func Await(due time.Time, out int, fds ...int) (unread bool, err error) {
	polled := []unix.PollFd{{Fd: int32(out)}} // that is told of whatever is asked for
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

// milliseconds rounds up, and to an hour down.
func milliseconds(left time.Duration) int {
	left = min(max(0, left), time.Hour)
	return int((left + time.Millisecond - 1) / time.Millisecond)
}

// OnSignal returns a descriptor that s makes readable from now on.
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

// Signalled tells whether a descriptor of OnSignal was made readable since it was asked.
func Signalled(fd int) bool {
	var some [64]byte
	n, _ := unix.Read(fd, some[:])
	return n > 0
}

// Poll waits until one of fds is readable, or it is due. Those below 0 are left out. A
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
