//go:build linux

package logs

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/inotify"
)

// lookEvery is how often a follower looks at all directories: the kernel has no events for
// what another machine writes, or for a directory whose parent does not exist yet.
const lookEvery = 2 * time.Second

// follow prints what there is and what comes, until its reader is gone.
func (s *Set) follow() error {
	var err error
	s.all = -1
	if s.watch, err = inotify.New(); err != nil {
		s.Warn("inotify: %v; checking every two seconds instead", err)
	}
	reader := pipe(os.Stdout)
	first, everything, due := true, true, time.Time{}
	for ; ; everything = s.happened() || !time.Now().Before(due) {
		if everything {
			due = time.Now().Add(lookEvery)
			if err := s.lookAtAll(first); err != nil {
				return err
			}
			first = false
		}
		s.drain()
		for _, l := range s.logs {
			s.sayLost(l)
			s.complain(l)
		}
		if err := s.Out.Flush(); err != nil {
			return err
		}
		if err := inotify.Poll(due, s.watch.FD, reader); err != nil {
			return err
		}
		if closed(reader) {
			return unix.EPIPE
		}
	}
}

// complain reports once what is wrong with l.
func (s *Set) complain(l *Log) {
	if l.err == nil {
		return
	}
	said := missing(l).Error()
	if errors.Is(l.err, fs.ErrNotExist) {
		said += "; waiting for it"
	}
	if said != l.said {
		s.Warn("%s", said)
	}
	l.said, l.err = said, nil
}

// lookAtAll finds the existing logs, and looks at each. Logs that it finds later are printed
// from their beginning.
func (s *Set) lookAtAll(first bool) error {
	s.watchAll()
	names, err := s.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !s.known[name] {
			s.add(name)
		}
	}
	for _, l := range s.logs {
		if err := s.look(l, first); err != nil {
			l.fail(err)
		}
	}
	return nil
}

// look looks at l, whose directory may be another by now, or its first.
func (s *Set) look(l *Log, first bool) error {
	if first {
		return s.open(l)
	}
	fresh, err := l.reopen(s.Open)
	if fresh {
		s.watchLog(l)
	}
	if l.d == nil {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // what was written to the old one is read to its end
	}
	return errors.Join(err, l.refresh())
}

const watched = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE_SELF

// watchLog watches l. If it cannot, the regular looks remain.
func (s *Set) watchLog(l *Log) {
	if s.watch != nil {
		if l.dir >= 0 {
			s.watch.Remove(l.dir)
		}
		l.dir = -1
		if n, err := s.watch.Add(l.d.ProcPath(), watched); err == nil {
			l.dir = n
		}
	}
}

// watchAll watches for new directories.
func (s *Set) watchAll() {
	d, err := s.Open("")
	if err != nil {
		return
	}
	defer d.Close()
	if n, err := s.watch.Add(d.ProcPath(), unix.IN_CREATE|unix.IN_MOVED_TO); err == nil {
		s.all = n
	}
}

// happened looks at each log for which there are events, and reports whether all logs must be
// looked at.
func (s *Set) happened() (everything bool) {
	told := map[int32]bool{}
	var buf [16 << 10]byte
	for s.watch.Read(buf[:], func(e inotify.Event) {
		everything = everything || e.Lost() || e.Dir == s.all
		told[e.Dir] = true
	}) {
	}
	for _, l := range s.logs {
		if l.d != nil && told[l.dir] {
			if err := l.refresh(); err != nil {
				l.fail(err)
			}
		}
	}
	return everything
}

// pipe returns the descriptor of out if it is the end of a pipe, else -1. Only for a pipe does
// poll(2) report nothing except that its reader is gone.
func pipe(out *os.File) int {
	fd := int(out.Fd())
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return -1
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_ACCMODE != unix.O_WRONLY {
		return -1
	}
	return fd
}

// closed reports whether the pipe fd has no reader.
func closed(fd int) bool {
	polled := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(polled, 0)
	return err == nil && n > 0 && polled[0].Revents&unix.POLLERR != 0
}
