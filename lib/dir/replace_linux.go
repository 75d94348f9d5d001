package dir

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

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

// Stage puts a file with data beside name, which is the first half of Replace:
// nobody finds it by that name before PutStaged, and that must not be before it is on the
// disk (SyncAll). Who could not have the lock does all of Replace, and gets zero: his
// name for it nobody would find again.
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

// PutStaged puts what Stage left in name's place, in one step. It tells whether it did: not
// where is says that another file is there now, or where that has other data.
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

// SyncAll has all that was written to the file system of d on the disk when it returns,
// in one system call. The other end of FUSE, 9p or SMB does not hear of that, only of fsync(2).
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

// beside returns the name of what is to take name's place. It is always the same, so that
// what a killed run left is cleaned up; but whoever could not have the lock gets one of
// his own, or he might put in place what another has half written.
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

// stage makes tmp anew.
func (d *Dir) stage(tmp string, mode uint32, uid, gid int, data []byte, sync bool) error {
	if err := d.Unlink(tmp); err != nil { // a killed run's
		return err
	}
	return d.create(tmp, mode, uid, gid, data, sync)
}
