//go:build linux

package s6

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pollEvery is how often Wait looks where it cannot be told.
const pollEvery = 10 * time.Millisecond

// Wait returns when reached says so of s's status, or an error:
// os.ErrDeadlineExceeded at deadline (zero: never).
func (s Service) Wait(p Programs, deadline time.Time, reached func(*Status) bool) error {
	return s.wait(deadline, func() (bool, error) {
		st, err := s.Status(p)
		return err != nil || reached(&st), err
	})
}

// Gone waits until no s6-supervise runs on s, until deadline at the most; the
// error is then os.ErrDeadlineExceeded.
func (s Service) Gone(deadline time.Time) error {
	return s.wait(deadline, func() (bool, error) {
		runs, err := s.Supervised()
		return err != nil || !runs, err
	})
}

// wait returns when over says so. It asks at the beginning, however little time is
// left, and when something may have changed.
//
// s6-supervise announces each change of state by renaming a new
// supervise/status into place (s6_svstatus_write.c) and its own end by letting
// go of supervise/lock, which it closes; inotify(7) tells us of both. It is told
// before over is asked, so that no change falls between the two.
func (s Service) wait(deadline time.Time, over func() (bool, error)) error {
	var w *watch
	defer func() { w.close() }()
	for {
		if done, err := over(); done {
			return err
		}
		if w == nil {
			w = newWatch(s.Path() + superviseDir)
			continue
		}
		if err := w.next(deadline); err != nil {
			return err
		}
		if w.ended {
			w.close()
			w = nil
		}
	}
}

// A watch is an inotify instance on one directory; with fd -1 it stands for
// one that could not be had (there are 128 a user, which a busy host uses up)
// and makes us poll.
type watch struct {
	fd    int
	ended bool // the directory is gone; there may be another by its name
}

func newWatch(path string) *watch {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return &watch{fd: -1}
	}
	_, err = unix.InotifyAddWatch(fd, path, unix.IN_MOVED_TO|unix.IN_CREATE|unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR)
	if err != nil {
		unix.Close(fd)
		return &watch{fd: -1}
	}
	return &watch{fd: fd}
}

func (w *watch) close() {
	if w != nil && w.fd >= 0 {
		unix.Close(w.fd)
	}
}

// next returns when something may have changed.
func (w *watch) next(deadline time.Time) error {
	left := time.Duration(-1)
	if !deadline.IsZero() {
		if left = time.Until(deadline); left <= 0 {
			return os.ErrDeadlineExceeded
		}
	}
	if w.fd < 0 {
		time.Sleep(pollEvery)
		return nil
	}
	ms := -1
	if left >= 0 {
		ms = int((left + time.Millisecond - 1) / time.Millisecond)
	}
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, ms); err != nil && err != unix.EINTR {
		return os.NewSyscallError("poll", err)
	}
	var buf [4096]byte
	for {
		n, err := unix.Read(w.fd, buf[:])
		if n <= 0 || err != nil {
			return nil
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			mask, name := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
			w.ended = w.ended || mask&unix.IN_IGNORED != 0
			b = b[unix.SizeofInotifyEvent+int(name):]
		}
	}
}
