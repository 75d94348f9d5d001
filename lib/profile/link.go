package profile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// open opens the directory of profile name; fs.ErrNotExist when there is none, which
// it is also where something else has its name, and errLink where that is a link.
func (h *Home) open(name string) (*dir.Dir, error) {
	path := h.path(name, ".")
	d, err := h.dir.Dir(path)
	return d, notLink(h.dir, path, err)
}

// Dir opens the directory of profile name, as open does.
func (h *Home) Dir(name string) (*dir.Dir, error) { return h.open(name) }

// At returns where file of profile name is: the directory that holds its path. Package
// dir follows no link on it.
func (h *Home) At(name, file string) (*dir.Dir, string) { return h.dir, h.path(name, file) }

// errLink is the answer for a profile whose directory is a symbolic link: it could
// lead anywhere.
var errLink = fail.Hint(errors.New("a symbolic link, which is not followed"), "put the directory itself there, or mount it there")

// IsLink tells whether err says that the directory of a profile is a link.
func IsLink(err error) bool { return errors.Is(err, errLink) }

// Linked is an error that says so where the directory of profile name is a symbolic link.
func (h *Home) Linked(name string) error {
	d, err := h.open(name)
	d.Close()
	if errors.Is(err, errLink) {
		return err
	}
	return nil
}

// notLink says of err, from opening the directory path in d, what it means. (That no link
// is followed, package dir sees to.)
func notLink(d *dir.Dir, path string, err error) error {
	if !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ELOOP) {
		return err
	}
	for at := path; at != "."; at = filepath.Dir(at) {
		if info, e := os.Lstat(d.Path(at)); e == nil && info.Mode()&fs.ModeSymlink != 0 {
			return fail.Errorf(fail.System, "%s: %w", d.Path(at), errLink)
		}
	}
	return &fs.PathError{Op: "open", Path: d.Path(path), Err: fs.ErrNotExist}
}
