//go:build !linux

package dir

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Dir is a directory. Outside Linux it is a path: users there work on their own home, so
// there is no privilege boundary.
type Dir struct{ path string }

// Open opens the directory at path.
func Open(path string) (*Dir, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a directory")}
	}
	if err != nil {
		return nil, err
	}
	return &Dir{filepath.Clean(path)}, nil
}

// Close closes d. d may be nil.
func (d *Dir) Close() {}

// Path returns the path of name in d.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// Dir opens the directory name.
func (d *Dir) Dir(name string) (*Dir, error) { return Open(d.Path(name)) }

// Lock locks nothing on this system.
func (d *Dir) Lock(time.Time) error { return nil }

// NoLocks reports whether err, from Lock, says that the file system has no locks.
func NoLocks(error) bool { return false }

// Exists reports whether anything is called name, including a dangling link.
func (d *Dir) Exists(name string) (bool, error) {
	_, err := os.Lstat(d.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Read returns the content of the regular file name, of at most limit bytes.
func (d *Dir) Read(name string, limit int) ([]byte, error) {
	info, err := os.Lstat(d.Path(name))
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: d.Path(name), Err: ErrIrregular}
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(d.Path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = &fs.PathError{Op: "read", Path: d.Path(name), Err: ErrTooLarge}
	}
	return data, err
}

// Replace puts a file with data in name's place in one step.
func (d *Dir) Replace(name string, mode uint32, _, _ int, data []byte) error {
	tmp, err := os.CreateTemp(d.path, "."+name+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // already renamed on success
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), fs.FileMode(mode))
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), d.Path(name))
}

// Update replaces the content of the file name, of at most limit bytes, with what edit makes
// of it, in one step, and keeps its mode. If there is no such file, edit gets nil, and the
// file is made with mode. A concurrent write by another process can be lost.
func (d *Dir) Update(name string, limit int, mode uint32, _, _ int, edit func(old []byte) ([]byte, error)) error {
	old, err := d.Read(name, limit)
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Lstat(d.Path(name)); err == nil {
			mode = uint32(info.Mode().Perm())
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data, err := edit(old)
	if err != nil || old != nil && bytes.Equal(old, data) {
		return err
	}
	return d.Replace(name, mode, -1, -1, data)
}
