package dir

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Replace puts a file with data in name's place in one step: a reader of name sees the old
// bytes or the new ones, even after a power cut. The old file itself, which may be a link or a
// hard link to something else, is not modified.
func (d *Dir) Replace(name string, mode uint32, uid, gid int, data []byte) error {
	if err := d.replace(name, mode, uid, gid, data, true); err != nil {
		return err
	}
	return d.Fail("fsync", "", unix.Fsync(d.fd))
}

// ReplaceLater is Replace without waiting for the disk: after a power cut name may be as it
// was, or empty.
func (d *Dir) ReplaceLater(name string, mode uint32, uid, gid int, data []byte) error {
	return d.replace(name, mode, uid, gid, data, false)
}

// Stage puts a file with data beside name, which is the first half of Replace. PutStaged then
// gives it that name, which must not happen before the file is on the disk (SyncAll). Without
// the lock, Stage does all of Replace and returns zero, since its temporary name would be
// random and PutStaged could not find it.
func (d *Dir) Stage(name string, mode uint32, uid, gid int, data []byte) (unix.Stat_t, error) {
	if d.shared {
		return unix.Stat_t{}, d.Replace(name, mode, uid, gid, data)
	}
	tmp := d.beside(name)
	if err := d.stage(tmp, mode, uid, gid, data, false); err != nil {
		return unix.Stat_t{}, err
	}
	return d.Stat(tmp)
}

// PutStaged puts what Stage has left in name's place, in one step. It reports whether it did.
// It does not if is says that another file is there now, or if the staged file has other data.
func (d *Dir) PutStaged(name string, data []byte, is func(unix.Stat_t) bool) (done bool, err error) {
	tmp := d.beside(name)
	staged, st, err := d.read(tmp, len(data))
	if err != nil || !is(st) || !bytes.Equal(staged, data) {
		return false, nil
	}
	return true, d.Rename(tmp, d, name)
}

// Unstage removes what Stage left beside name.
func (d *Dir) Unstage(name string) error { return d.Unlink(d.beside(name)) }

// errNoSyncAll says that syncfs(2) would not put what was written on a disk.
var errNoSyncAll = errors.New("this file system does not pass it on")

// SyncAll puts all that was written to the file system of d on the disk, with one system call.
// FUSE, 9p and SMB pass only fsync(2) on to their other end, so it fails there.
func (d *Dir) SyncAll() error {
	var st unix.Statfs_t
	err := unix.Fstatfs(d.fd, &st)
	if err == nil && slices.Contains([]uint32{unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC}, uint32(st.Type)) {
		err = errNoSyncAll
	}
	for again := err == nil; again; again = err == unix.EINTR {
		err = unix.Syncfs(d.fd)
	}
	return d.Fail("syncfs", "", err)
}

// beside returns the name of the file that is to take name's place. It is always the same, so
// that the rest of a killed run is cleaned up. But a process that could not get the lock uses
// a name of its own, or it might put in place what another process has half written.
func (d *Dir) beside(name string) string {
	tmp := "." + name + ".new"
	if d.shared {
		tmp += "." + strconv.FormatUint(rand.Uint64(), 36)
	}
	return tmp
}

func (d *Dir) replace(name string, mode uint32, uid, gid int, data []byte, sync bool) error {
	tmp := d.beside(name)
	err := d.stage(tmp, mode, uid, gid, data, sync)
	if err == nil {
		if err = d.Rename(tmp, d, name); err != nil {
			_ = d.Unlink(tmp) // the error that counts is the first
		}
	}
	return err
}

// stage creates tmp.
func (d *Dir) stage(tmp string, mode uint32, uid, gid int, data []byte, sync bool) error {
	if err := d.Unlink(tmp); err != nil { // left by a killed run
		return err
	}
	return d.create(tmp, mode, uid, gid, data, sync)
}
