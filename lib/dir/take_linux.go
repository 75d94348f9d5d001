package dir

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Take makes or opens the directory name in d, which only its owner can open (mode 0700), and
// locks it with lock. A process's lock ends with the process. So a directory that can be
// locked is not in use, and its content is for the next process. check decides about a
// directory that already existed.
//
// Drop wakes all waiting processes, and each one starts to wait anew. So a lock with a
// deadline keeps waiting as long as one holder follows another. After that the error is
// os.ErrDeadlineExceeded, and names the holder.
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
		// The previous holder has removed the directory along with its lock. Then ours is the
		// lock on a directory without a name.
		if err == nil && taken.Linked() {
			return taken, nil
		}
		taken.Close()
		if err != nil {
			return nil, err
		}
	}
}

// Drop releases taken, which Take returned for name. An error here only leaves something for
// others to clean up.
func (d *Dir) Drop(name string, taken *Dir) {
	_ = d.Rmdir(name) // while we have the lock
	taken.Close()
}

// lockedBy is the error for a lock that another process has: its pid, "" if that is unknown.
type lockedBy string

func (pid lockedBy) Unwrap() error { return os.ErrDeadlineExceeded }

func (pid lockedBy) Error() string {
	const text = "another process is at work on it"
	if pid == "" {
		return text
	}
	return text + " (pid " + string(pid) + ")"
}

// holder returns the process that has the lock of d. It cannot see one in another container.
func (d *Dir) holder() lockedBy {
	st, err := d.Stat(".")
	if err != nil {
		return ""
	}
	locks, _ := os.ReadFile("/proc/locks")
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK ADVISORY WRITE 211 00:1a:4711 0 EOF; a waiting process has -> first.
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], ":"+strconv.FormatUint(st.Ino, 10)) {
			return lockedBy(f[4])
		}
	}
	return ""
}

// asideTries is the number of earlier files that Aside leaves alone.
const asideTries = 1000

// Aside renames name to the first free name of name.broken-1, name.broken-2 and so on, and
// returns it.
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
