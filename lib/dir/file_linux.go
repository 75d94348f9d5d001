package dir

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Create makes the file name, which must not exist, with exactly mode, and writes data. If uid
// is not negative, it gives the file to uid:gid before it writes the first byte.
func (d *Dir) Create(name string, mode uint32, uid, gid int, data []byte) error {
	return d.create(name, mode, uid, gid, data, false)
}

func (d *Dir) create(name string, mode uint32, uid, gid int, data []byte, sync bool) (err error) {
	// O_EXCL neither follows a link nor opens a file that another process put there.
	fd, err := d.beneath(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return d.Fail("create", name, err)
	}
	defer func() {
		if e := unix.Close(fd); err == nil {
			err = d.Fail("close", name, e)
		}
		if err != nil {
			_ = d.Unlink(name) // an incomplete file is useless
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

// Append appends data to the file name in one write, all of it or nothing. If the file is
// missing, Append makes it with exactly mode and for uid:gid. It refuses, before it writes
// anything, what is not a regular file of uid with this name only.
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
	// Check the descriptor, because the name may lead elsewhere by now: to a file that the
	// directory's owner cannot write, but could link or move here.
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
		// There was room for a part only, which is useless and would precede the next line. It
		// is removed, unless another process has appended since.
		if unix.Fstat(fd, &st) == nil && st.Size == before+int64(n) {
			_ = unix.Ftruncate(fd, before)
		}
		err = unix.ENOSPC
	}
	return d.Fail("write", name, err)
}

// OpenFile opens the regular file name, or makes it if flags say so. It follows no link. It
// refuses what is not a regular file, without waiting for it.
func (d *Dir) OpenFile(name string, flags int, mode uint32) (fd int, err error) {
	fd, err = d.beneath(name, flags|unix.O_NONBLOCK|unix.O_NOCTTY, mode)
	if err != nil {
		return -1, d.Fail("open", name, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = ErrIrregular
	}
	if err != nil {
		unix.Close(fd)
		return -1, d.Fail("open", name, err)
	}
	return fd, nil
}

// Read returns the content of the regular file name, of at most limit bytes. It follows no
// link, never blocks on a FIFO and never reads a device.
func (d *Dir) Read(name string, limit int) ([]byte, error) {
	data, _, err := d.read(name, limit)
	return data, err
}

// ReadLinked is Read, but follows links on the way. It is for files of a service directory
// that belong to others, who may have linked them into place.
func (d *Dir) ReadLinked(name string, limit int) ([]byte, error) {
	fd, err := d.File(name)
	if err != nil {
		return nil, err
	}
	data, _, err := d.readFrom(fd, name, limit)
	return data, err
}

// ReadHead is ReadLinked of at most what fits into buf.
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

// readFrom reads fd and closes it. It checks the open descriptor, so it detects a FIFO or a
// device in the file's place and does not read it.
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
	// Read one byte more than limit: the file may grow meanwhile.
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
		case k < len(buf)-n: // a regular file has no more
			return buf[:n+k], nil
		default:
			n += k
		}
	}
	return buf, nil
}

// Is reports whether the regular file name has mode and uid and contains data. name is a path
// below d of which no other user can control a component.
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
