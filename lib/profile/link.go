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

// open opens the directory of profile name. It returns fs.ErrNotExist if there is none, also
// if something other than a directory has its name, and errLink if that is a link.
func (h *Home) open(name string) (*dir.Dir, error) {
	path := h.path(name, ".")
	d, err := h.dir.Dir(path)
	return d, notLink(h.dir, path, err)
}

// Dir opens the directory of profile name, as open does.
func (h *Home) Dir(name string) (*dir.Dir, error) { return h.open(name) }

// At returns the directory that holds file of profile name, and the path in it. Package dir
// follows no link on that path.
func (h *Home) At(name, file string) (*dir.Dir, string) { return h.dir, h.path(name, file) }

// errLink is returned for a profile whose directory is a symbolic link, which could lead anywhere.
var errLink = fail.Hint(errors.New("a symbolic link, which is not followed"), "put the directory itself there, or mount it there")

// IsLink reports whether err says that the directory of a profile is a link.
func IsLink(err error) bool { return errors.Is(err, errLink) }

// Linked returns errLink if the directory of profile name is a symbolic link.
func (h *Home) Linked(name string) error {
	d, err := h.open(name)
	d.Close()
	if errors.Is(err, errLink) {
		return err
	}
	return nil
}

// notLink translates err, from opening the directory path in d. (Package dir already made sure
// that no link is followed.)
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
