package fail

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
)

func TestUnread(t *testing.T) {
	for _, c := range []struct {
		err    error
		unread bool
	}{
		{nil, false},
		{errors.New("not YAML"), false},
		{fs.ErrNotExist, false},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, false},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ELOOP}, false},
		{Errorf(Usage, "x: %w", &fs.PathError{Op: "read", Path: "x", Err: syscall.EIO}), true},
		{syscall.EMFILE, true},
		{syscall.EACCES, true},
	} {
		if got := Unread(c.err); got != c.unread {
			t.Errorf("%v: %v, want %v", c.err, got, c.unread)
		}
	}
}
