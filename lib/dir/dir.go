// Package dir works on directories through their descriptors, so that no name is resolved
// twice and no symbolic link below an open directory is followed. It knows nothing about slots
// or profiles. Every name that it takes is a single path component, unless a method says
// otherwise.
package dir

import "errors"

// ErrIrregular is returned by Read for anything but a regular file.
var ErrIrregular = errors.New("not a regular file")

// ErrTooLarge is returned by Read for a file over its limit.
var ErrTooLarge = errors.New("file too large")
