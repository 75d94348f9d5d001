// Package dir works on directories through their descriptors, so that no name
// is resolved twice and no symbolic link is followed below one that is open.
// It knows nothing of slots or profiles. Every name it takes is a single path
// component, unless a method says otherwise.
package dir

import "errors"

// ErrIrregular is what Read answers for anything but a regular file.
var ErrIrregular = errors.New("not a regular file")

// ErrTooLarge is what Read answers for a file over its limit.
var ErrTooLarge = errors.New("file too large")
