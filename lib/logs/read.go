//go:build linux

package logs

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A reader is the position in the first file of a queue.
type reader struct {
	buf   []byte // what was read and not yet used
	size  int    // of a buffer
	room  []byte // the buffer, of that size, that buf is a part of
	off   int64  // where in the file buf ends
	ahead int64  // up to here there is no newline behind buf
	head  bool   // buf begins with a line that is complete, or will not grow
	stamp stamp  // of the last line that had one
	since stamp  // lines before it are skipped, up to the first that is not
	begun bool   // there were lines
}

// next makes sure that there is a head, the next line. It returns false if there is none yet.
func (l *Log) next() bool {
	for !l.head && !l.dry && len(l.queue) > 0 {
		live := l.follow && len(l.queue) == 1
		if err := l.seek(live); err != nil {
			l.fail(err)
			l.buf = nil // skip the rest of that file
		}
		switch {
		case l.head && l.early():
			l.line(func([]byte) {})
		case l.head:
		case live && l.queue[0].fd >= 0:
			l.dry = true
		default:
			l.pop()
		}
	}
	return l.head
}

// early reports whether the head is to be skipped because of its stamp.
func (l *Log) early() bool {
	if s, size := stampOf(l.buf); size > 0 {
		l.stamp = s
	}
	if l.stamp.before(&l.since) {
		return true
	}
	l.since = stamp{} // later lines count as later, whatever the clock did
	return false
}

// pop goes on to the next file.
func (l *Log) pop() {
	f := l.queue[0]
	l.queue = l.queue[1:]
	l.release(f)
	l.buf, l.off, l.ahead = l.buf[:0], 0, 0
}

// seek looks for a head. In a live file a line ends with a newline, in any other also with the
// end of the file.
func (l *Log) seek(live bool) error {
	f := l.queue[0]
	if err := l.needFile(f); err != nil || f.fd < 0 {
		return err
	}
	for bytes.IndexByte(l.buf, '\n') < 0 {
		n, err := l.fill()
		switch {
		case err != nil:
			return err
		case n > 0:
			continue
		case live && len(l.buf) == l.size:
			l.head, err = l.endsAhead()
			return err
		case live:
			return l.truncated()
		}
		l.head = len(l.buf) > 0
		return nil
	}
	l.head = true
	return nil
}

// needFile opens f. If f is gone, it was the oldest file. That is a loss only if we have had
// lines before it.
func (l *Log) needFile(f *file) error {
	if f.fd >= 0 {
		return nil
	}
	opened, err := openFile(l.d, f.name)
	if opened != nil {
		*f = *opened
	} else if err == nil && l.begun {
		l.lost = true
	}
	return err
}

// fill reads more of the file, as much as there is room for, and returns how much.
func (l *Log) fill() (int, error) {
	if l.room == nil {
		l.room = make([]byte, l.size)
	}
	n := copy(l.room, l.buf)
	got, err := pread(l.queue[0].fd, l.room[n:], l.off)
	l.buf = l.room[:n+got]
	l.off += int64(got)
	return got, err
}

func pread(fd int, buf []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(fd, buf, off)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// endsAhead reports whether there is a newline behind what is in memory.
func (l *Log) endsAhead() (bool, error) {
	var buf [16 << 10]byte
	l.ahead = max(l.ahead, l.off)
	for {
		n, err := pread(l.queue[0].fd, buf[:], l.ahead)
		if n == 0 || bytes.IndexByte(buf[:n], '\n') >= 0 {
			return n > 0, err
		}
		l.ahead += int64(n)
	}
}

// truncated starts again at the beginning of a file that another process has truncated.
func (l *Log) truncated() error {
	var st unix.Stat_t
	if err := unix.Fstat(l.queue[0].fd, &st); err != nil || st.Size >= l.off {
		return err
	}
	l.buf, l.off, l.ahead = l.buf[:0], 0, 0
	return nil
}

// line calls use with the parts of the head, without its newline and without splitting a
// character, and moves behind it.
func (l *Log) line(use func(part []byte)) {
	l.begun = true
	for {
		if i := bytes.IndexByte(l.buf, '\n'); i >= 0 {
			use(l.buf[:i])
			l.buf = l.buf[i+1:]
			break
		}
		whole := len(l.buf) - begunRune(l.buf)
		use(l.buf[:whole])
		l.buf = l.buf[whole:]
		n, err := l.fill()
		if n == 0 {
			use(l.buf)
			l.buf = l.buf[:0]
			if err != nil {
				l.fail(err)
			}
			break
		}
	}
	l.head, l.ahead = false, 0
}

// begunRune returns how many bytes at the end of b begin an incomplete character.
func begunRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if end := b[len(b)-n:]; utf8.RuneStart(end[0]) {
			if utf8.FullRune(end) {
				return 0
			}
			return n
		}
	}
	return 0
}

// tail skips all but the last n lines. It reads from the end, and no more than needed.
func (l *Log) tail(n int) error {
	for i := len(l.queue) - 1; i >= 0; i-- {
		f := l.queue[i]
		if err := l.needFile(f); err != nil {
			l.queue = l.queue[i+1:] // what precedes it is not contiguous with the end
			return err
		}
		if f.fd < 0 { // removed meanwhile, and so are all files before it
			l.queue = l.queue[i+1:]
			return nil
		}
		start, left, err := lastLines(f.fd, n, l.follow && i == len(l.queue)-1)
		if err != nil {
			l.queue = l.queue[i+1:]
			return l.d.Fail("read", f.name, err)
		}
		if n = left; start > 0 {
			l.queue, l.off = l.queue[i:], start
			return nil
		}
	}
	return nil
}

// lastLines returns where in a file its last n lines begin, and by how many it has fewer. Text
// behind the last newline is a line, unless the file is live.
func lastLines(fd, n int, live bool) (start int64, left int, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, n, err
	}
	var buf [16 << 10]byte
	for end := st.Size; end > 0; {
		size := min(end, int64(len(buf)))
		got, err := pread(fd, buf[:size], end-size)
		if err == nil && int64(got) < size {
			err = errors.New("truncated")
		}
		if err != nil {
			return 0, n, err
		}
		if end == st.Size && buf[size-1] != '\n' && !live {
			if n == 0 {
				return end, 0, nil
			}
			n--
		}
		for b := buf[:size]; ; n-- {
			i := bytes.LastIndexByte(b, '\n')
			if i < 0 {
				break
			}
			if n == 0 {
				return end - size + int64(i) + 1, 0, nil
			}
			b = b[:i]
		}
		end -= size
	}
	return 0, n, nil
}
