package dir

import (
	"cmp"
	"encoding/binary"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Dir is an open directory. The zero value is not usable.
type Dir struct {
	fd   int
	path string // for messages, and for the few calls that take no descriptor
	// shared is set if its flock(2) was tried but could not be taken.
	shared bool
}

// Working is the process's working directory. It must never be closed, and accepts whole paths
// as names.
var Working = &Dir{fd: unix.AT_FDCWD}

// Open opens the directory at path. It follows links on the way: path comes from the user who
// runs us, not from inside a home.
func Open(path string) (*Dir, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Dir{fd: fd, path: filepath.Clean(path)}, nil
}

// Close closes d. d may be nil.
func (d *Dir) Close() {
	if d != nil {
		unix.Close(d.fd)
	}
}

// Fd returns d's descriptor, for locking and polling.
func (d *Dir) Fd() int { return d.fd }

// ProcPath returns a path that leads to d while d is open, even if d is renamed.
func (d *Dir) ProcPath() string { return "/proc/self/fd/" + strconv.Itoa(d.fd) }

// Path returns the path of name in d as it was when d was opened.
func (d *Dir) Path(name string) string {
	switch {
	case d.path == "":
		return name
	case name == "", name == ".":
		return d.path
	}
	return d.path + "/" + name // fast, because thousands of errors that are never printed need it
}

// Fail wraps the error of a system call on name. nil stays nil.
func (d *Dir) Fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.Path(name), Err: err}
}

// Dir opens the directory name. For a symbolic link it returns ENOTDIR or ELOOP, because
// another user may have chosen where it leads.
func (d *Dir) Dir(name string) (*Dir, error) {
	fd, err := d.beneath(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, d.Fail("open", name, err)
	}
	return &Dir{fd: fd, path: d.Path(name)}, nil
}

// Mkdir makes the directory name with exactly mode (the process's umask is 0, see cli.Main)
// and opens it.
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

// Own gives d itself to uid:gid (-1 keeps the present one) and then sets mode. chown comes
// first because it clears the set-ID bits.
func (d *Dir) Own(uid, gid int, mode uint32) error {
	if uid >= 0 || gid >= 0 {
		if err := unix.Fchown(d.fd, uid, gid); err != nil {
			return d.Fail("chown", "", err)
		}
	}
	return d.Fail("chmod", "", unix.Fchmod(d.fd, mode))
}

// DropLists removes d's access control lists (acl(5)). The default one would apply to each
// file that is made in d, whoever owns d.
func (d *Dir) DropLists() error {
	for _, list := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
		if err := unix.Fremovexattr(d.fd, list); err != nil && err != unix.ENODATA && err != unix.EOPNOTSUPP {
			return d.Fail("remove "+list, "", err)
		}
	}
	return nil
}

// Give gives the file name to uid:gid (-1 keeps the present one) and then sets mode. No other
// user may be able to write in d: the name is looked up twice, and chmod follows a link.
func (d *Dir) Give(name string, uid, gid int, mode uint32) error {
	if err := unix.Fchownat(d.fd, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return d.Fail("chown", name, err)
	}
	return d.Fail("chmod", name, unix.Fchmodat(d.fd, name, mode, 0))
}

// Stat describes the file name itself. It does not follow a link.
func (d *Dir) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, d.Fail("stat", name, err)
}

// Exists reports whether anything is called name, including a dangling link.
func (d *Dir) Exists(name string) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return false, nil
	}
	return err == nil, d.Fail("stat", name, err)
}

// Rename moves oldName to newName in to, replacing what is there.
func (d *Dir) Rename(oldName string, to *Dir, newName string) error {
	return d.Fail("rename", oldName, unix.Renameat(d.fd, oldName, to.fd, newName))
}

// RenameNoReplace moves oldName to newName in to and fails with EEXIST if that name is taken
// by anything. The kernel decides a race, not an earlier check.
func (d *Dir) RenameNoReplace(oldName string, to *Dir, newName string) error {
	err := unix.Renameat2(d.fd, oldName, to.fd, newName, unix.RENAME_NOREPLACE)
	if noRename2(err) {
		err = d.renameUnlessTaken(oldName, to, newName)
	}
	return to.Fail("rename", newName, err)
}

// noRename2 reports whether err, of renameat2(2), says that the call is unavailable: the
// kernel is older than 3.15, the file system lacks the flag, or a seccomp filter does not know
// it. EPERM can also be about the files; renameat(2) then returns it, too.
func noRename2(err error) bool {
	return err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP || err == unix.EPERM
}

// renameUnlessTaken is RenameNoReplace by checking first. If the name is taken in between,
// what took it is replaced only if it is an empty directory, or a file like oldName, as
// rename(2) does.
func (d *Dir) renameUnlessTaken(oldName string, to *Dir, newName string) error {
	if there, err := to.Exists(newName); err != nil || there {
		return cmp.Or(err, error(unix.EEXIST))
	}
	err := unix.Renameat(d.fd, oldName, to.fd, newName)
	if err == unix.ENOTEMPTY || err == unix.ENOTDIR || err == unix.EISDIR {
		err = unix.EEXIST
	}
	return err
}

// Unlink removes the file name. It is no error if there is none.
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

// RemoveAll removes name and everything below it, without following links. It is no error if
// there is none.
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

// File opens the file name, which may be a path, for reading. It follows links and does not
// block on a FIFO.
func (d *Dir) File(name string) (fd int, err error) {
	fd, err = openat(d.fd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	return fd, d.Fail("open", name, err)
}

// Names lists d from its beginning, without "." and "..", in no particular order.
func (d *Dir) Names() ([]string, error) { return d.names(func([]byte) {}) }

// Subdirs is Names without the entries that, according to the file system, are neither
// directories nor links.
func (d *Dir) Subdirs() ([]string, error) { return d.names(dropFiles) }

// dropFiles marks the files in what getdents64(2) has returned as removed: an entry with inode
// 0 does not count.
func dropFiles(entries []byte) {
	for len(entries) > direntType {
		switch entries[direntType] {
		case unix.DT_DIR, unix.DT_LNK, unix.DT_UNKNOWN:
		default:
			clear(entries[:direntLength])
		}
		entries = entries[min(int(binary.NativeEndian.Uint16(entries[direntLength:])), len(entries)):]
	}
}

// Offsets of an entry's length, behind its inode and position, and of its type.
const direntLength, direntType = 16, 18

// names lists d. edit can remove entries from each part of the list first.
func (d *Dir) names(edit func(entries []byte)) ([]string, error) {
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
		edit(buf[:n])
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// Writable reports whether we may make and remove names in d.
func (d *Dir) Writable() bool {
	return unix.Faccessat(d.fd, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil
}

// Remote reports whether d is on a file system that other machines can have mounted.
func (d *Dir) Remote() bool {
	var st unix.Statfs_t
	if unix.Fstatfs(d.fd, &st) != nil {
		return true
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC,
		unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC:
		return true
	}
	return false
}

// SameAs reports whether d and other are the same directory.
func (d *Dir) SameAs(other *Dir) bool {
	var a, b unix.Stat_t
	return unix.Fstat(d.fd, &a) == nil && unix.Fstat(other.fd, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// Linked reports whether d still has a name somewhere: a removed directory has no links
// (unlink(2)).
func (d *Dir) Linked() bool {
	var st unix.Stat_t
	return unix.Fstat(d.fd, &st) == nil && st.Nlink > 0
}
