package dir

import (
	"bytes"
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// updateTries is how often Update starts over because another process has written the same
// file meanwhile.
const updateTries = 100

// carefulTries is how often Update starts over because another process wrote before it did. If
// that process writes faster than a file can be synced, Update would never end.
const carefulTries = 20

// Another process may be about to write an empty file. The file counts as empty after it has
// been so for emptyPatience: then a full disk has left it.
var emptyPatience = 100 * time.Millisecond

const emptyEvery = 5 * time.Millisecond

// Update replaces the content of the file name, of at most limit bytes, with what edit makes
// of it, in one step, and keeps its permissions and owner. It drops the set-ID bits, and
// refuses a file with a second name. If there is no such file, edit gets nil, and the file is
// made with mode and uid:gid (-1: ours).
//
// Another process may write the file at any time, without a lock, by renaming another into
// place. Before ours goes into place, we look once more and edit what the other process has
// put there since we read the file. So nobody finds content that is older than what the other
// process has seen. Between that look and the rename are a few instructions. What is put there
// at that moment is not lost: the two files are exchanged, and if what we took away is not
// what we looked at, we edit it and put it back. For that moment older content is in place.
// (What was put there is lost if the file system cannot exchange files, such as NFS, or if we
// are killed at that moment.) If the other process reads the file before us and replaces it
// after us, our change is lost: only a lock that everyone takes could prevent that.
func (d *Dir) Update(name string, limit int, mode uint32, uid, gid int, edit func(old []byte) ([]byte, error)) error {
	tmp := d.beside(name)
	if err := d.Unlink(tmp); err != nil { // left by a killed run
		return err
	}
	defer d.Unlink(tmp) // including what we have taken away
	base, err := d.look(name, limit)
	there := base // what we expect to take away
	for try := range updateTries {
		if err != nil {
			return err
		}
		st := base.st
		switch {
		case !base.exists:
			st = unix.Stat_t{Mode: mode, Uid: uint32(uid), Gid: uint32(gid)}
		case st.Nlink > 1:
			return d.Fail("update", name, ErrIrregular)
		}
		data, e := edit(base.data)
		if e != nil || base.exists && bytes.Equal(base.data, data) && bytes.Equal(base.data, there.data) {
			return e
		}
		if err = d.create(tmp, st.Mode&0o777, int(int32(st.Uid)), int(int32(st.Gid)), data, true); err != nil {
			return err
		}
		if beforeLastLook != nil {
			beforeLastLook()
		}
		var taken []byte
		if try < carefulTries {
			err = d.unchanged(name, there)
		}
		if err == nil {
			taken, err = d.exchange(tmp, name, there.exists, limit)
		}
		switch {
		case errors.Is(err, errMeanwhile):
			if err = d.Unlink(tmp); err == nil {
				base, err = d.look(name, limit)
				there = base
			}
		case err == nil && bytes.Equal(taken, there.data):
			return d.Fail("fsync", "", unix.Fsync(d.fd))
		case err == nil:
			base.data = taken
			if there, err = d.look(name, limit); !bytes.Equal(there.data, data) {
				base = there // another process has written once more
			}
			err = errors.Join(err, d.Unlink(tmp))
		}
	}
	return d.Fail("update", name, errors.New("another process keeps writing to it"))
}

// beforeLastLook is set by tests. It is called when the new file stands beside name.
var beforeLastLook func()

// errMeanwhile says that another process has written the file since it was looked at, and that
// we left it alone.
var errMeanwhile = errors.New("written meanwhile")

// A seen is what was found under a name.
type seen struct {
	exists bool
	data   []byte // nil if there is no file
	st     unix.Stat_t
}

// look reads the file name, of at most limit bytes.
func (d *Dir) look(name string, limit int) (seen, error) {
	for until := time.Now().Add(emptyPatience); ; time.Sleep(emptyEvery) {
		data, st, err := d.read(name, limit)
		if errors.Is(err, fs.ErrNotExist) {
			return seen{}, nil
		}
		if err != nil || len(data) > 0 || time.Now().After(until) {
			return seen{true, data, st}, err
		}
	}
}

// unchanged returns errMeanwhile unless name is what was seen, and was not written since.
func (d *Dir) unchanged(name string, was seen) error {
	st, err := d.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && (st.Dev != was.st.Dev || st.Ino != was.st.Ino || st.Size != was.st.Size ||
		st.Mtim != was.st.Mtim || st.Ctim != was.st.Ctim) {
		return errMeanwhile
	}
	return err
}

// exchange puts tmp in name's place and returns what it took away, nil for nothing. exists says
// whether anything is expected there.
func (d *Dir) exchange(tmp, name string, exists bool, limit int) (taken []byte, err error) {
	flag := uint(unix.RENAME_EXCHANGE)
	if !exists {
		flag = unix.RENAME_NOREPLACE
	}
	switch err = unix.Renameat2(d.fd, tmp, d.fd, name, flag); {
	case err == unix.EEXIST || err == unix.ENOENT: // it came, or went, just now
		return nil, errMeanwhile
	case noRename2(err):
		return d.lookAndReplace(tmp, name, exists, limit)
	case err != nil || !exists:
		return nil, d.Fail("rename", name, err)
	}
	return d.Read(tmp, limit)
}

// lookAndReplace is exchange for a file system that has neither flag.
func (d *Dir) lookAndReplace(tmp, name string, exists bool, limit int) (taken []byte, err error) {
	taken, err = d.Read(name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		taken, err = nil, nil
	}
	if err == nil && exists != (taken != nil) {
		err = errMeanwhile
	}
	if err == nil {
		err = d.Rename(tmp, d, name)
	}
	return taken, err
}
