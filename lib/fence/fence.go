//go:build linux

// Package fence knows the lock that a gateway holds while it runs, so that it runs only once
// over any number of containers: a record lock (fcntl(2)) on a file in its profile's
// directory. The kernel releases it when the process ends, however that happens, and does not
// pass it on to children. Over NFS and CephFS the server keeps it.
//
// A process loses a record lock when it closes any descriptor of the file. So the holder of
// the fence opens the file only once.
package fence

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// File is the fence's name in the profile's directory.
const File = ".gateway-fence"

// A State is what can be seen of a fence from outside.
type State struct {
	Held bool
	// PID is the holder's: 0 if that is in another PID namespace, negative if the kernel knows
	// no process because the holder is on another machine.
	PID int
	// Holder is the process that took the fence last.
	Holder Holder
}

// Look returns the state of the fence path in d, or the zero value if the file does not exist.
// If process pid holds the fence, the holder is not read from the file.
func Look(d *dir.Dir, path string, pid int) (State, error) {
	fd, err := d.OpenFile(path, unix.O_RDONLY, 0)
	if errors.Is(err, unix.ENOENT) {
		return State{}, nil
	}
	if err != nil {
		return State{}, err
	}
	defer unix.Close(fd)
	s, err := look(fd, pid)
	return s, d.Fail("look at", path, err)
}

// look asks the kernel which process holds the lock, and reads the file unless that is process
// pid.
func look(fd, pid int) (s State, err error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err = unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &lock); err != nil {
		return s, err
	}
	if lock.Type != unix.F_UNLCK {
		s.Held, s.PID = true, int(lock.Pid)
	}
	if s.Held && s.PID == pid && pid > 0 {
		return s, nil
	}
	s.Holder, err = read(fd)
	// CephFS asks its server, which knows no processes, not even those of this machine.
	if s.PID < 0 && s.Holder.lives() {
		s.PID = s.Holder.PID
	}
	return s, err
}

func read(fd int) (Holder, error) {
	buf := make([]byte, maxLine)
	n, err := unix.Pread(fd, buf, 0)
	return parse(buf[:max(n, 0)]), err
}

// Lacking reports whether err, from taking a fence, says that no process can have one here. A
// gateway then runs without a fence. Any other error may be temporary.
func Lacking(err error) bool {
	for _, errno := range []error{
		unix.ENOLCK, unix.ENOSYS, unix.EOPNOTSUPP, // no locks
		unix.EROFS, unix.EACCES, unix.EPERM, unix.ENOSPC, unix.EDQUOT, // no file to lock
		unix.ENOENT, // no home
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return errors.Is(err, errNotOurs)
}

var errNotOurs = errors.New("something else is in its place and cannot be moved aside")

// A Fence is the open file of a process that takes, or waits for, the fence.
type Fence struct {
	dir *dir.Dir
	fd  int
	// Aside is the new name of what was moved out of the fence's place, "" for nothing.
	Aside string
}

// Open opens the fence in d, the directory of a profile, and creates it if there is none. uid
// and gid own what it creates; -1 keeps our own. Anything that is not a file of ours to lock,
// such as a link, is moved aside: no process that follows the rules holds that.
func Open(d *dir.Dir, uid, gid int) (*Fence, error) {
	f := &Fence{dir: d}
	for try := 0; ; try++ {
		fd, err := d.OpenFile(File, unix.O_RDWR, 0)
		if errors.Is(err, unix.ENOENT) {
			if fd, err = create(d, File, uid, gid); errors.Is(err, unix.EEXIST) {
				continue // another process was first
			} else if err != nil {
				return nil, err
			}
		}
		if err == nil {
			f.fd = fd
			return f, nil
		}
		if s, e := Look(d, File, 0); e == nil && s.Held {
			// No link in the chain could wait for this one.
			return nil, fail.Errorf(fail.System, "held by %s, and we may not lock it: %v", s.Holder, err)
		}
		if !isForeign(err) {
			return nil, err
		}
		if try == asideTries {
			return nil, fail.Errorf(fail.System, "%s: %w", d.Path(File), errNotOurs)
		}
		if f.Aside, err = d.Aside(File); err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	}
}

// create makes the file name in d, and opens it.
func create(d *dir.Dir, name string, uid, gid int) (fd int, err error) {
	fd, err = d.OpenFile(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o644) // readable for others
	if err == nil && uid >= 0 {
		if err = unix.Fchown(fd, uid, gid); err != nil {
			unix.Close(fd)
			err = d.Fail("chown", name, err)
		}
	}
	return fd, err
}

// asideTries is how often what others put in the fence's place is moved away.
const asideTries = 10

// isForeign reports whether err, from opening the fence, says that what is there is not a
// fence: it is not a regular file, or we may not write it.
func isForeign(err error) bool {
	for _, errno := range []error{unix.ELOOP, unix.EISDIR, unix.ENXIO, unix.EACCES, dir.ErrIrregular} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// Close closes f, and thereby releases it.
func (f *Fence) Close() { unix.Close(f.fd) }

// Take takes the fence unless another process holds it, and reports whether it did. It also
// returns false if the file has been replaced since it was opened: open it again.
func (f *Fence) Take() (bool, error) {
	if mine, err := tryLock(f.fd); err != nil || !mine {
		return false, f.dir.Fail("lock", File, err)
	}
	return f.current()
}

// tryLock locks fd unless another process has locked it.
func tryLock(fd int) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &lock)
	if err == unix.EAGAIN || err == unix.EACCES {
		return false, nil
	}
	return err == nil, err
}

// current reports whether the file that f has open is still the one at its path.
func (f *Fence) current() (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return false, f.dir.Fail("stat", File, err)
	}
	named, err := f.dir.Stat(File)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil && named.Dev == st.Dev && named.Ino == st.Ino, err
}

// State is Look for an open fence that another process holds.
func (f *Fence) State() (State, error) {
	s, err := look(f.fd, 0)
	return s, f.dir.Fail("look at", File, err)
}

// Sign writes into f that we hold it. It first removes the old content, so that we are not
// mistaken for an earlier holder.
func (f *Fence) Sign() error {
	h := us()
	text, err := json.Marshal(line{h.Host, h.PID, h.Start, h.Since.UTC().Format(time.RFC3339)})
	if err != nil {
		return err
	}
	if err = unix.Ftruncate(f.fd, 0); err == nil {
		_, err = unix.Pwrite(f.fd, append(text, '\n'), 0)
	}
	if err == nil && f.dir.Remote() {
		err = unix.Fsync(f.fd) // an NFS client sends data only on fsync or close, and we do not close
	}
	return f.dir.Fail("write", File, err)
}

// Keep leaves f open, and so held, for the program that is executed next.
func (f *Fence) Keep() error {
	_, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETFD, 0)
	return f.dir.Fail("keep open", File, err)
}

// Path returns the path of f.
func (f *Fence) Path() string { return f.dir.Path(File) }
