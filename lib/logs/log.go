//go:build linux

// Package logs knows log directories as s6-log keeps them: which files there are and in which
// order, how they are rotated, what a line's stamp says. It prints the lines of several logs
// in the order of their times, and goes on as lines come. It never holds more of a line in
// memory than fits into a buffer. Its callers know where the directories are.
package logs

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
)

// A Log is the log of one profile: files to be read one after the other.
//
// s6-log rotates by renaming current to previous, making a new current, linking previous to
// @STAMP.s and removing previous. So a line is always in one file, but the file's name
// changes. Therefore files are identified by device and inode, files that can still be renamed
// are kept open, and a name identifies only a file whose rotation is complete.
type Log struct {
	Name string
	d    *dir.Dir // nil until there is one
	now  listing  // content of d at the last look
	// queue holds the files still to be read, the first one being read. With follow the last
	// one is live: it may be written to, and text without a newline at its end is not a line yet.
	queue  []*file
	follow bool
	reader
	dry  bool   // everything that existed has been read
	lost bool   // lines were removed before we came to them
	err  error  // about the first unusable file
	said string // what was last reported
	dir  int32  // of the watch, -1 if d is not watched
}

// A file is one file of a log directory.
type file struct {
	name     string
	fd       int // -1 until it is needed, if it is rotated
	dev, ino uint64
}

var (
	errLink     = errors.New("a symbolic link, which is not followed")
	errRestless = errors.New("rotated too fast to read")
)

// openFile opens the file name, or returns nil if there is none. It follows no link, and
// refuses what is not a regular file without blocking.
func openFile(d *dir.Dir, name string) (*file, error) {
	fd, err := d.OpenFile(name, unix.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, unix.ELOOP) {
		return nil, d.Fail("open", name, errLink)
	}
	if err != nil {
		return nil, err
	}
	f := &file{name: name, fd: fd}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.close()
		return nil, d.Fail("stat", name, err)
	}
	f.dev, f.ino = st.Dev, st.Ino
	return f, nil
}

func (f *file) close() {
	if f != nil && f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}

// same reports whether f and other, which are open, are the same file.
func (f *file) same(other *file) bool {
	return f != nil && other != nil && f.dev == other.dev && f.ino == other.ino
}

// named reports whether name in d is f, or does not exist if f is nil.
func (f *file) named(d *dir.Dir, name string) bool {
	st, err := d.Stat(name)
	if f == nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return err == nil && st.Dev == f.dev && st.Ino == f.ino
}

// A listing is the content of a log directory at one moment.
type listing struct {
	rotated           []string // @STAMP.s and .u, by stamp
	previous, current *file    // open; nil if there is none
}

// restless is how often a directory is listed again if it is rotated meanwhile.
const restless = 1000

// list lists d.
func list(d *dir.Dir) (listing, error) {
	for range restless {
		l, settled, err := look(d)
		if err == nil && settled {
			return l, nil
		}
		l.current.close()
		l.previous.close()
		if err != nil {
			return listing{}, err
		}
	}
	return listing{}, d.Fail("list", "", errRestless)
}

// look lists d once, and reports whether nothing was rotated meanwhile. It opens the files
// that can be renamed first. If each still has its name after all names were read, the list is
// complete.
func look(d *dir.Dir) (l listing, settled bool, err error) {
	if l.current, err = openFile(d, "current"); err != nil {
		return l, false, err
	}
	if l.previous, err = openFile(d, "previous"); err != nil {
		return l, false, err
	}
	names, err := d.Names()
	if err != nil {
		return l, false, err
	}
	for _, name := range names {
		if isRotated(name) {
			l.rotated = append(l.rotated, name)
		}
	}
	slices.Sort(l.rotated)
	if !l.current.named(d, "current") || l.previous != nil && !l.previous.named(d, "previous") {
		return l, false, nil
	}
	for _, name := range l.rotated {
		if l.previous != nil && l.previous.named(d, name) { // it already has its last name
			l.previous.close()
			l.previous = nil
		}
	}
	return l, true, nil
}

// isRotated reports whether s6-log gives such a name to a file that it has rotated: .s, or .u
// if it was killed before.
func isRotated(name string) bool {
	label, ok := strings.CutSuffix(name, ".s")
	if !ok {
		label, ok = strings.CutSuffix(name, ".u")
	}
	_, is := labelTime(label)
	return ok && is
}

// refresh looks at the directory, and appends what is new to the queue: at first everything.
func (l *Log) refresh() error {
	l.dry = false
	if l.now.previous == nil && l.now.current != nil && l.now.current.named(l.d, "current") {
		return nil
	}
	now, err := list(l.d)
	if err != nil {
		return err
	}
	was := l.now
	known := was.rotated
	for _, name := range now.rotated {
		for len(known) > 0 && known[0] < name {
			known = known[1:]
		}
		switch {
		case len(known) > 0 && known[0] == name:
		case was.previous == nil && was.current == nil:
			// It is not renamed any more, and is opened when its turn comes.
			l.queue = append(l.queue, &file{name: name, fd: -1})
		default:
			l.addRotated(name)
		}
	}
	// If a file that had a name at the last look has none now, it was rotated and removed, and
	// so, perhaps, was everything that was rotated in between.
	var st unix.Stat_t
	if was.current != nil && unix.Fstat(was.current.fd, &st) == nil && st.Nlink == 0 {
		l.lost = true
	}
	now.previous, now.current = l.add(now.previous), l.add(now.current)
	l.now = now
	l.release(was.previous)
	l.release(was.current)
	return nil
}

// addRotated appends a file that was rotated since the last look. It opens the file at once,
// because the file may be removed before its turn comes.
func (l *Log) addRotated(name string) {
	f, err := openFile(l.d, name)
	if err != nil {
		l.fail(err)
	}
	l.lost = l.lost || f == nil && err == nil
	l.add(f)
}

// add appends f. If we already had f under another name, it returns that file instead.
func (l *Log) add(f *file) *file {
	had := l.now.current
	if f.same(l.now.previous) {
		had = l.now.previous
	}
	switch {
	case f.same(had):
		f.close()
		return had
	case f != nil:
		l.queue = append(l.queue, f)
	}
	return f
}

// release closes f unless it is needed. A file that can be renamed stays open until we have
// seen its new name, or its inode number could be reused and another file mistaken for it.
func (l *Log) release(f *file) {
	for _, queued := range l.queue {
		if f == queued {
			return
		}
	}
	if f != l.now.previous && f != l.now.current {
		f.close()
	}
}

// reopen opens the directory with open, if it exists and is another than before. Its files are
// read from the beginning, after those of the old one.
func (l *Log) reopen(open func(string) (*dir.Dir, error)) (fresh bool, err error) {
	d, err := open(l.Name)
	if err != nil {
		return false, err
	}
	if l.d != nil && d.SameAs(l.d) {
		d.Close()
		return false, nil
	}
	was := l.now
	l.d.Close()
	l.d, l.now, l.said = d, listing{}, ""
	l.release(was.previous)
	l.release(was.current)
	return true, nil
}

// close closes all open files.
func (l *Log) close() {
	for _, f := range append(l.queue, l.now.previous, l.now.current) {
		f.close()
	}
	l.d.Close()
}

// fail records err, about a file that is left out.
func (l *Log) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}
