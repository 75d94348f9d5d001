package profile

import (
	"errors"
	"os"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// lockPatience is how long Lock waits: what it keeps apart takes milliseconds.
const lockPatience = 2 * time.Second

// Unlock undoes Lock.
func (h *Home) Unlock() {
	h.dir.Unlock()
	h.locked = false
}

// Lock keeps others of us from handing out ports in h until Unlock or Close. Whoever may
// read the home can hold the lock as well, and for ever: so an error is no
// reason to give up, only to warn. A file system that knows no locks is none.
func (h *Home) Lock() error {
	err := h.dir.Lock(time.Now().Add(lockPatience))
	h.locked = err == nil
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail.Errorf(fail.Timeout, "lock %s: another process holds it", h.dir.Path(""))
	case dir.NoLocks(err):
		return nil
	}
	return err
}
