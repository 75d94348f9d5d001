package dir

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Take makes or opens the directory name in d, which only its owner can open (mode
// 0700), and locks it by lock. When a process ends, so does its lock: a directory that
// can be locked is in nobody's hands, and what is in it is for the next. check is asked
// about a directory that was there already.
//
// Drop wakes all that wait, and each of them starts to wait anew. So a lock that waits
// until a deadline goes on waiting for as long as one holder follows another. Then the
// error is os.ErrDeadlineExceeded, and names the holder.
func (d *Dir) Take(name string, check, lock func(*Dir) error) (*Dir, error) {
	for {
		taken, err := d.Mkdir(name, 0o700)
		fresh := err == nil
		if errors.Is(err, fs.ErrExist) {
			taken, err = d.Dir(name)
		}
		if errors.Is(err, fs.ErrNotExist) && d.Linked() {
			continue // its holder removed it between our two calls
		}
		if err != nil {
			return nil, err
		}
		if !fresh {
			err = check(taken)
		}
		if err == nil {
			err = lock(taken)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = d.Fail("lock", name, taken.holder())
		}
		// Whoever had the lock before us has removed the directory with
		// it: then ours is the lock on something that has no name.
		if err == nil && taken.Linked() {
			return taken, nil
		}
		taken.Close()
		if err != nil {
			return nil, err
		}
	}
}

// Drop lets go of taken, which Take returned for name. An error here costs nothing
// but a leftover.
func (d *Dir) Drop(name string, taken *Dir) {
	_ = d.Rmdir(name) // while we have the lock
	taken.Close()
}

// lockedBy is the error of a lock that another process has: its pid, "" where that is not
// known.
type lockedBy string

func (pid lockedBy) Unwrap() error { return os.ErrDeadlineExceeded }

func (pid lockedBy) Error() string {
	const text = "another process is at work on it"
	if pid == "" {
		return text
	}
	return text + " (pid " + string(pid) + ")"
}

// holder is the process that has the lock of d. One in another container cannot be seen.
func (d *Dir) holder() lockedBy {
	st, err := d.Stat(".")
	if err != nil {
		return ""
	}
	locks, _ := os.ReadFile("/proc/locks")
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK ADVISORY WRITE 211 00:1a:4711 0 EOF; one that waits has -> first.
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], ":"+strconv.FormatUint(st.Ino, 10)) {
			return lockedBy(f[4])
		}
	}
	return ""
}

// asideTries is how many earlier ones Aside leaves alone.
const asideTries = 1000

// Aside renames name to the first of name.broken-1, name.broken-2 and so on that is
// free, and returns it.
func (d *Dir) Aside(name string) (aside string, err error) {
	for i := 1; i <= asideTries; i++ {
		aside = name + ".broken-" + strconv.Itoa(i)
		if there, err := d.Exists(aside); err != nil {
			return "", err
		} else if !there {
			return aside, d.Rename(name, d, aside)
		}
	}
	return "", d.Fail("rename", name, unix.EEXIST)
}
