package dir

import (
	"bytes"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// updateTries is how often Update starts over because somebody else has written
// the same file meanwhile.
const updateTries = 100

// Update replaces the content of the file name, of at most limit bytes, by what
// edit makes of it, in one step, and keeps its permissions and owner; the set-ID
// bits are nobody's to pass on, and a file with another name is another's. Where there is no
// such file edit gets nil, and the file is made with mode and uid:gid (-1: ours).
//
// What somebody else writes between our reading the file and our replacing it is
// not lost: the two are exchanged, and where what we have taken away is not what
// we read, that is edited in turn. (It is lost where the file system exchanges
// nothing, or if we are killed just then.) What nobody can help without a lock
// that all take: that he, who read the file before us, replaces it after us.
func (d *Dir) Update(name string, limit int, mode uint32, uid, gid int, edit func(old []byte) ([]byte, error)) error {
	tmp := "." + name + ".new"
	if err := d.Unlink(tmp); err != nil { // a killed run's
		return err
	}
	defer d.Unlink(tmp) // also what we have taken away
	base, st, err := d.read(name, limit)
	there := base // what we expect to take away
	for range updateTries {
		if errors.Is(err, fs.ErrNotExist) {
			base, there, st, err = nil, nil, unix.Stat_t{Mode: mode, Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
		if err != nil {
			return err
		}
		if st.Nlink > 1 {
			return d.Fail("update", name, ErrIrregular)
		}
		var data []byte
		if data, err = edit(base); err != nil || base != nil && bytes.Equal(base, data) && bytes.Equal(base, there) {
			return err
		}
		if err = d.create(tmp, st.Mode&0o777, int(int32(st.Uid)), int(int32(st.Gid)), data, true); err != nil {
			return err
		}
		var taken []byte
		taken, err = d.swap(tmp, name, there == nil, limit)
		switch {
		case err == nil && bytes.Equal(taken, there):
			return d.Fail("fsync", "", unix.Fsync(d.fd))
		case err == nil:
			base, there = taken, data
			err = d.Unlink(tmp)
		case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist):
			// It came, or went, meanwhile.
			if err = d.Unlink(tmp); err == nil {
				base, st, err = d.read(name, limit)
				there = base
			}
		}
	}
	return d.Fail("update", name, errors.New("somebody else writes to it all the time"))
}

// swap puts tmp in name's place and returns what it took away, which is nil and
// must not be there where fresh is set.
func (d *Dir) swap(tmp, name string, fresh bool, limit int) (taken []byte, err error) {
	flag := uint(unix.RENAME_EXCHANGE)
	if fresh {
		flag = unix.RENAME_NOREPLACE
	}
	switch err = unix.Renameat2(d.fd, tmp, d.fd, name, flag); {
	case err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP:
		return d.lookAndReplace(tmp, name, fresh, limit)
	case err != nil || fresh:
		return nil, d.Fail("rename", name, err)
	}
	return d.Read(tmp, limit)
}

// lookAndReplace is swap where the file system, NFS for one, has neither flag.
func (d *Dir) lookAndReplace(tmp, name string, fresh bool, limit int) (taken []byte, err error) {
	taken, err = d.Read(name, limit)
	switch {
	case fresh && err == nil:
		err = fs.ErrExist
	case fresh && errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err == nil {
		err = d.Rename(tmp, d, name)
	}
	return taken, err
}
