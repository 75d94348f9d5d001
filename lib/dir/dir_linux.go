package dir

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Dir is an open directory. The zero value is not usable.
type Dir struct {
	fd   int
	path string // for messages, and for the few calls that take no descriptor
	// shared is set where its flock(2) was asked for and could not be had.
	shared bool
}

// Working is the process's working directory, never to be closed; names given
// to it may be whole paths.
var Working = &Dir{fd: unix.AT_FDCWD}

// Open opens the directory at path. Links on the way are followed: path comes
// from whoever runs us, not from inside a home.
func Open(path string) (*Dir, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Dir{fd: fd, path: filepath.Clean(path)}, nil
}

// Close closes d. A nil d is no error.
func (d *Dir) Close() {
	if d != nil {
		unix.Close(d.fd)
	}
}

// Fd returns d's descriptor, for locking and polling.
func (d *Dir) Fd() int { return d.fd }

// Path returns the path of name in d as it was when d was opened.
func (d *Dir) Path(name string) string {
	switch {
	case d.path == "":
		return name
	case name == "", name == ".":
		return d.path
	}
	return d.path + "/" + name // errors that nobody prints are made by the thousand
}

// Fail wraps the error of a system call on name; nil stays nil.
func (d *Dir) Fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.Path(name), Err: err}
}

// Dir opens the directory name. A symbolic link of that name is ENOTDIR or
// ELOOP: somebody else chose where it leads.
func (d *Dir) Dir(name string) (*Dir, error) {
	fd, err := d.beneath(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, d.Fail("open", name, err)
	}
	return &Dir{fd: fd, path: d.Path(name)}, nil
}

// Mkdir makes the directory name with exactly mode (the process's umask is 0,
// see cli.Main) and opens it.
func (d *Dir) Mkdir(name string, mode uint32) (*Dir, error) {
	if err := unix.Mkdirat(d.fd, name, mode); err != nil {
		return nil, d.Fail("mkdir", name, err)
	}
	return d.Dir(name)
}

// Mkfifo makes the FIFO name with exactly mode.
func (d *Dir) Mkfifo(name string, mode uint32) error {
	return d.Fail("mkfifo", name, unix.Mkfifoat(d.fd, name, mode))
}

// Own gives d itself to uid:gid (-1 leaves one as it is) and then sets mode:
// in that order, since chown clears the set-ID bits.
func (d *Dir) Own(uid, gid int, mode uint32) error {
	if uid >= 0 || gid >= 0 {
		if err := unix.Fchown(d.fd, uid, gid); err != nil {
			return d.Fail("chown", "", err)
		}
	}
	return d.Fail("chmod", "", unix.Fchmod(d.fd, mode))
}

// DropLists removes d's access control lists (acl(5)): the default one is that of each
// file which is made in d, whoever owns d.
func (d *Dir) DropLists() error {
	for _, list := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
		if err := unix.Fremovexattr(d.fd, list); err != nil && err != unix.ENODATA && err != unix.EOPNOTSUPP {
			return d.Fail("remove "+list, "", err)
		}
	}
	return nil
}

// Give gives the file name to uid:gid (-1 leaves one as it is) and then sets mode. d
// must be ours alone: the name is looked up twice, and chmod follows a link.
func (d *Dir) Give(name string, uid, gid int, mode uint32) error {
	if err := unix.Fchownat(d.fd, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return d.Fail("chown", name, err)
	}
	return d.Fail("chmod", name, unix.Fchmodat(d.fd, name, mode, 0))
}

// Stat describes the file name itself, a link as a link.
func (d *Dir) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, d.Fail("stat", name, err)
}

// Exists tells whether there is anything called name, a dangling link included.
func (d *Dir) Exists(name string) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return false, nil
	}
	return err == nil, d.Fail("stat", name, err)
}

// Create makes the file name, which must not exist, with exactly mode, writes
// data and, where uid is not negative, gives it to uid:gid before the first
// byte is in it.
func (d *Dir) Create(name string, mode uint32, uid, gid int, data []byte) error {
	return d.create(name, mode, uid, gid, data, false)
}

func (d *Dir) create(name string, mode uint32, uid, gid int, data []byte, sync bool) (err error) {
	// O_EXCL neither follows a link nor opens what somebody else put there.
	fd, err := d.beneath(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return d.Fail("create", name, err)
	}
	defer func() {
		if e := unix.Close(fd); err == nil {
			err = d.Fail("close", name, e)
		}
		if err != nil {
			_ = d.Unlink(name) // half of it is worth nothing
		}
	}()
	if uid >= 0 {
		if err := unix.Fchown(fd, uid, gid); err != nil {
			return d.Fail("chown", name, err)
		}
	}
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil && err != unix.EINTR {
			return d.Fail("write", name, err)
		}
		data = data[max(n, 0):]
	}
	if sync {
		return d.Fail("fsync", name, unix.Fsync(fd))
	}
	return nil
}

// Replace puts a file with data in name's place in one step: whoever reads
// name sees the old bytes or the new ones, also after a power cut. What name
// was, a link or a hard link to something else included, is left untouched.
func (d *Dir) Replace(name string, mode uint32, uid, gid int, data []byte) error {
	if err := d.replace(name, mode, uid, gid, data, true); err != nil {
		return err
	}
	return d.Fail("fsync", "", unix.Fsync(d.fd))
}

// ReplaceLater is Replace that does not wait for the disk: after a power cut name may
// be what it was, or empty.
func (d *Dir) ReplaceLater(name string, mode uint32, uid, gid int, data []byte) error {
	return d.replace(name, mode, uid, gid, data, false)
}

// beside returns the name of what is to take name's place: a fixed one, so that what a
// killed run left is cleaned up. By that, who could not have the lock might publish what
// another has half written.
func (d *Dir) beside(name string) string {
	tmp := "." + name + ".new"
	if d.shared {
		tmp += "." + strconv.FormatUint(rand.Uint64(), 36)
	}
	return tmp
}

func (d *Dir) replace(name string, mode uint32, uid, gid int, data []byte, sync bool) error {
	tmp := d.beside(name)
	err := d.Unlink(tmp)
	if err == nil {
		err = d.create(tmp, mode, uid, gid, data, sync)
	}
	if err == nil {
		err = d.Rename(tmp, d, name)
	}
	if err != nil {
		_ = d.Unlink(tmp) // the error that counts is the first
	}
	return err
}

// Append appends data to the file name in one write, all of it or nothing, and makes
// it, with exactly mode and uid:gid's, where it is missing. What is not a regular
// file of uid with this one name is refused before anything is written to it.
func (d *Dir) Append(name string, mode uint32, uid, gid int, data []byte) error {
	err := d.Create(name, mode, uid, gid, data)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	fd, err := d.beneath(name, unix.O_WRONLY|unix.O_APPEND|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return d.Fail("open", name, err)
	}
	defer unix.Close(fd)
	// On the descriptor: the name may lead elsewhere by now, to a file that the
	// directory's owner could not write, but could link or move here.
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return d.Fail("stat", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || uid >= 0 && int(st.Uid) != uid {
		return d.Fail("append", name, ErrIrregular)
	}
	before := st.Size
	n, err := unix.Write(fd, data)
	if err == nil && n < len(data) {
		// There was room for some of it, which is worth nothing and would be
		// the beginning of the next. Unless somebody has appended since, it goes.
		if unix.Fstat(fd, &st) == nil && st.Size == before+int64(n) {
			_ = unix.Ftruncate(fd, before)
		}
		err = unix.ENOSPC
	}
	return d.Fail("write", name, err)
}

// Read returns the content of the regular file name, of at most limit bytes.
// It follows no link, never blocks on a FIFO and never reads a device.
func (d *Dir) Read(name string, limit int) ([]byte, error) {
	data, _, err := d.read(name, limit)
	return data, err
}

// ReadLinked is Read that follows links on the way: for files of a service
// directory, which others may have linked into place and which are theirs.
func (d *Dir) ReadLinked(name string, limit int) ([]byte, error) {
	fd, err := d.File(name)
	if err != nil {
		return nil, err
	}
	data, _, err := d.readFrom(fd, name, limit)
	return data, err
}

// ReadHead is ReadLinked of what fits into buf, at most.
func (d *Dir) ReadHead(name string, buf []byte) ([]byte, error) {
	fd, err := d.File(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	data, err := readAll(fd, buf)
	return data, d.Fail("read", name, err)
}

func (d *Dir) read(name string, limit int) (data []byte, st unix.Stat_t, err error) {
	fd, err := d.beneath(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, st, d.Fail("open", name, err)
	}
	return d.readFrom(fd, name, limit)
}

// readFrom reads fd and closes it. What fd is has been decided when it was opened:
// a FIFO or a device in the file's place is seen here, and not read.
func (d *Dir) readFrom(fd int, name string, limit int) (data []byte, st unix.Stat_t, err error) {
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, st, d.Fail("stat", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, st, d.Fail("read", name, ErrIrregular)
	}
	if st.Size > int64(limit) {
		return nil, st, d.Fail("read", name, ErrTooLarge)
	}
	// One byte more than limit: the file may grow while it is read.
	data, err = readAll(fd, make([]byte, min(int(st.Size), limit)+1))
	if err == nil && len(data) > limit {
		err = ErrTooLarge
	}
	return data, st, d.Fail("read", name, err)
}

func readAll(fd int, buf []byte) ([]byte, error) {
	n := 0
	for n < len(buf) {
		k, err := unix.Read(fd, buf[n:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case k < len(buf)-n: // of a regular file there is no more
			return buf[:n+k], nil
		default:
			n += k
		}
	}
	return buf, nil
}

// Rename moves oldName to newName in to, replacing what is there.
func (d *Dir) Rename(oldName string, to *Dir, newName string) error {
	return d.Fail("rename", oldName, unix.Renameat(d.fd, oldName, to.fd, newName))
}

// RenameNoReplace moves oldName to newName in to and fails with EEXIST if that name is
// taken, by whatever: the kernel decides a race, not a check before it.
func (d *Dir) RenameNoReplace(oldName string, to *Dir, newName string) error {
	return to.Fail("rename", newName, unix.Renameat2(d.fd, oldName, to.fd, newName, unix.RENAME_NOREPLACE))
}

// Unlink removes the file name. One that is not there is no error.
func (d *Dir) Unlink(name string) error {
	err := unix.Unlinkat(d.fd, name, 0)
	if err == unix.ENOENT {
		return nil
	}
	return d.Fail("unlink", name, err)
}

// Rmdir removes the empty directory name.
func (d *Dir) Rmdir(name string) error {
	return d.Fail("rmdir", name, unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR))
}

// RemoveAll removes name and all below it, links as links. What is not there
// is no error.
func (d *Dir) RemoveAll(name string) error {
	err := unix.Unlinkat(d.fd, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR {
		return d.Fail("unlink", name, err)
	}
	sub, err := d.Dir(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	names, err := sub.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := sub.RemoveAll(n); err != nil {
			return err
		}
	}
	return d.Rmdir(name)
}

// File opens the file name, which may be a path, for reading. Links are followed;
// a FIFO does not block.
func (d *Dir) File(name string) (fd int, err error) {
	fd, err = openat(d.fd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	return fd, d.Fail("open", name, err)
}

// Names lists d from its beginning, without "." and "..", in no order.
func (d *Dir) Names() ([]string, error) {
	if _, err := unix.Seek(d.fd, 0, io.SeekStart); err != nil {
		return nil, d.Fail("seek", "", err)
	}
	var names []string
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(d.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, d.Fail("readdir", "", err)
		}
		if n <= 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// openat opens name below at, close-on-exec, again after EINTR (which a FIFO or a
// network file system can give).
func openat(at int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// noOpenat2 is set where the kernel lacks openat2(2) (before 5.6), or a seccomp
// filter that does not know it says EPERM.
var noOpenat2 atomic.Bool

// beneath opens name, which may be a path, and nothing but what is below d by
// that name: no link is followed, in no component, and no ".." leads out. The
// kernel decides, at the moment of opening, so that there is nothing for anybody
// to swap in between.
func (d *Dir) beneath(name string, flags int, mode uint32) (int, error) {
	flags |= unix.O_NOFOLLOW
	if noOpenat2.Load() || d.fd == unix.AT_FDCWD {
		return d.walk(name, flags, mode)
	}
	how := unix.OpenHow{
		Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(d.fd, name, &how)
		switch err {
		case unix.EINTR, unix.EAGAIN: // EAGAIN: something was renamed meanwhile
		case unix.ENOSYS, unix.EPERM:
			if fd, err = d.walk(name, flags, mode); err != unix.EPERM {
				noOpenat2.Store(true) // it was not the file's
			}
			return fd, err
		default:
			return fd, err
		}
	}
}

// walk is beneath without openat2: component by component, each opened without
// following a link in what the one before it has opened.
func (d *Dir) walk(name string, flags int, mode uint32) (int, error) {
	at := d.fd
	for {
		first, rest, more := strings.Cut(name, "/")
		if first == ".." || first == "" {
			return -1, unix.EXDEV // as openat2 says
		}
		want, perm := flags, mode
		if more {
			want, perm = unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0
		}
		fd, err := openat(at, first, want, perm)
		if at != d.fd {
			unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, name = fd, rest
	}
}

// Is tells whether the regular file name, below d by a path of which no component
// can be somebody else's, is of mode and uid and holds data.
func (d *Dir) Is(name string, mode uint32, uid int, data string) bool {
	fd, err := d.beneath(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode != unix.S_IFREG|mode || int(st.Uid) != uid || st.Nlink != 1 || st.Size != int64(len(data)) {
		return false
	}
	if data == "" {
		return true
	}
	got, err := readAll(fd, make([]byte, len(data)+1))
	return err == nil && string(got) == data
}

// Writable tells whether we may make and remove names in d.
func (d *Dir) Writable() bool {
	return unix.Faccessat(d.fd, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil
}

// SameAs tells whether d and other are one directory.
func (d *Dir) SameAs(other *Dir) bool {
	var a, b unix.Stat_t
	return unix.Fstat(d.fd, &a) == nil && unix.Fstat(other.fd, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// Linked tells whether d still has a name somewhere: a directory that was
// removed has no links (unlink(2)).
func (d *Dir) Linked() bool {
	var st unix.Stat_t
	return unix.Fstat(d.fd, &st) == nil && st.Nlink > 0
}
