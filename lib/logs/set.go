//go:build linux

package logs

import (
	"errors"
	"io/fs"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/inotify"
)

// A Set is several logs, printed in the order of their times. The lines of each log keep their
// own order, whatever their stamps say.
type Set struct {
	// Open opens the log directory of a profile, or for "" their parent.
	Open func(name string) (*dir.Dir, error)
	// Names returns the profiles that are wanted.
	Names func() ([]string, error)
	Lines int       // the number of last lines of each; negative: all
	Since time.Time // skip lines before it
	Follow,
	Named bool // a profile without a log directory is an error
	Printer
	Warn func(format string, args ...any)

	logs  []*Log
	known map[string]bool // profiles with a Log
	watch *inotify.Watch
	all   int32 // of the watch on the parent of all directories
}

// Run prints what there is, and with Follow what comes until its reader is gone. It returns an
// error for each log that failed, and the number of logs.
func (s *Set) Run() (failed []error, count int, err error) {
	defer func() {
		for _, l := range s.logs {
			l.close()
		}
		s.watch.Close()
	}()
	if s.Follow {
		return nil, 0, s.follow()
	}
	names, err := s.Names()
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		l := s.add(name)
		if err := s.open(l); err != nil && (s.Named || !errors.Is(err, fs.ErrNotExist)) {
			l.fail(err)
		}
	}
	s.drain()
	for _, l := range s.logs {
		s.sayLost(l)
		if l.err != nil {
			failed = append(failed, missing(l))
		}
	}
	return failed, len(s.logs), s.Out.Flush()
}

// missing returns the error of l, which may be that there is no log.
func missing(l *Log) error {
	var p *fs.PathError
	if errors.Is(l.err, fs.ErrNotExist) && errors.As(l.err, &p) {
		return fail.Errorf(fail.Absent, "profile %s: no log: %s does not exist", l.Name, p.Path)
	}
	return fail.Errorf(fail.CodeOf(l.err), "profile %s: %w", l.Name, l.err)
}

func (s *Set) add(name string) *Log {
	l := &Log{Name: name, follow: s.Follow, dir: -1}
	if !s.Since.IsZero() {
		l.since.setTo(s.Since)
	}
	s.logs = append(s.logs, l)
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[name] = true
	return l
}

// open opens the directory of l for the first time, and finds out where to begin.
func (s *Set) open(l *Log) (err error) {
	if l.d, err = s.Open(l.Name); err != nil {
		return err
	}
	s.watchLog(l)
	if err := l.refresh(); err != nil {
		return err
	}
	for len(l.queue) > 0 {
		// Its name is stamped with the time of its rotation, so nothing in it is later.
		t, ok := labelTime(l.queue[0].name[:min(len(l.queue[0].name), labelSize)])
		if !ok || !t.Before(s.Since) {
			break
		}
		l.queue = l.queue[1:]
	}
	if s.Lines >= 0 {
		return l.tail(s.Lines)
	}
	return nil
}

// drain prints all that can be read.
func (s *Set) drain() {
	const most, least, all = 64 << 10, 4 << 10, 4 << 20
	size := min(max(all/max(len(s.logs), 1), least), most)
	for _, l := range s.logs {
		if l.room == nil {
			l.size = size
		}
	}
	for {
		first, second := -1, (*Log)(nil)
		for i, l := range s.logs {
			switch {
			case !l.next():
			case first < 0 || l.stamp.before(&s.logs[first].stamp):
				if first >= 0 {
					second = s.logs[first]
				}
				first = i
			case second == nil || l.stamp.before(&second.stamp):
				second = l
			}
		}
		if first < 0 {
			return
		}
		// While its lines come first, no other log needs to be looked at.
		l := s.logs[first]
		for more := true; more; more = l.next() && (second == nil || !second.stamp.before(&l.stamp)) {
			if !s.print(l, first) {
				return // the error is reported when Out is flushed
			}
		}
	}
}

// sayLost warns once of lines that were lost.
func (s *Set) sayLost(l *Log) {
	if l.lost {
		s.Warn("profile %s: lines are missing here: s6-log rotated them away before they were read", l.Name)
		l.lost = false
	}
}
