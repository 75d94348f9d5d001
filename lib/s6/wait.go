//go:build linux

package s6

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/inotify"
)

// Most waits end within milliseconds. To close an inotify descriptor takes up to 16 of them,
// because the kernel first waits until no processor uses its watches any more
// (fsnotify_destroy_group), and an exit does the same. So Wait looks a few times, less and less
// often, before it watches: for 24 ms.
const (
	firstLooks = 8
	firstPause = time.Millisecond / 2
	pollEvery  = 10 * time.Millisecond // if there are no events
)

// Wait returns when reached returns true for s's status, or an error, which is
// os.ErrDeadlineExceeded at deadline (zero: never). It also calls reached when something is
// renamed or written in one of dirs.
func (s Service) Wait(p Programs, deadline time.Time, reached func(*Status) bool, dirs ...string) error {
	return s.wait(deadline, func() (bool, error) {
		st, err := s.Status(p)
		return err != nil || reached(&st), err
	}, dirs...)
}

// Gone waits until no s6-supervise runs on s. At deadline it returns os.ErrDeadlineExceeded.
func (s Service) Gone(deadline time.Time) error {
	return s.wait(deadline, func() (bool, error) {
		runs, err := s.Supervised()
		return err != nil || !runs, err
	})
}

// wait returns when over returns true. It calls over at the beginning, however little time is
// left, then a few times by itself, then whenever something may have changed.
//
// s6-supervise announces each change of state by renaming a new supervise/status into place
// (s6_svstatus_write.c), and its own end by closing supervise/lock; inotify(7) reports both.
// The watch is set up before over is called, so that no change is missed in between.
func (s Service) wait(deadline time.Time, over func() (bool, error), dirs ...string) error {
	var w *inotify.Watch
	defer func() { w.Close() }()
	pause := firstPause
	for looks := 1; ; looks++ {
		if done, err := over(); done {
			return err
		}
		if w == nil && looks > firstLooks {
			w = s.watch(dirs)
			continue
		}
		ended, err := next(w, pause, deadline)
		if err != nil {
			return err
		}
		if ended { // another directory may have its name now
			w.Close()
			w = nil
		}
		pause = min(pause+pause/2, pollEvery)
	}
}

// watch watches what s6-supervise writes for s, and dirs. If that fails, its FD is -1.
func (s Service) watch(dirs []string) *inotify.Watch {
	w, err := inotify.New()
	for _, d := range append([]string{s.Path() + superviseDir}, dirs...) {
		if err == nil {
			_, err = w.Add(d, unix.IN_MOVED_TO|unix.IN_CREATE|unix.IN_CLOSE_WRITE)
		}
	}
	if err != nil {
		w.Close()
		w.FD = -1
	}
	return w
}

// next returns when something may have changed, or after pause if nothing is watched, and
// reports whether w has ended.
func next(w *inotify.Watch, pause time.Duration, deadline time.Time) (ended bool, err error) {
	switch {
	case deadline.IsZero():
		deadline = time.Now().Add(time.Hour)
	case !time.Now().Before(deadline):
		return false, os.ErrDeadlineExceeded
	}
	if w == nil || w.FD < 0 {
		time.Sleep(pause)
		return false, nil
	}
	if err := inotify.Poll(deadline, w.FD); err != nil {
		return false, err
	}
	var buf [4096]byte
	for w.Read(buf[:], func(e inotify.Event) { ended = ended || e.Ended() }) {
	}
	return ended, nil
}
