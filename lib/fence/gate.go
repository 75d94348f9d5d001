//go:build linux

package fence

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
)

// A Gate is what a gateway passes before it runs.
type Gate struct {
	Dir      *dir.Dir // its profile's
	UID, GID int      // owner of what is created, -1 for ourselves
	Say      func(format string, args ...any)
}

// Pass takes the fence; s then names its previous holder. If another process holds the fence,
// Pass returns no Fence, and s names the holder.
func (g *Gate) Pass() (f *Fence, s State, err error) {
	for {
		if f, err = Open(g.Dir, g.UID, g.GID); err != nil {
			return nil, s, err
		}
		if f.Aside != "" {
			g.Say("%s: it was no file of the account's to lock: moved aside to %s", f.Path(), f.Aside)
		}
		taken, err := f.Take()
		if taken {
			s.Holder, _ = read(f.fd)
			return f, s, nil
		}
		if err == nil {
			s, err = f.State()
		}
		if err == nil && s.stale() {
			var broken *Fence
			if broken, err = g.breakUp(f, s); broken != nil {
				f.Close()
				return broken, s, nil
			}
		}
		f.Close()
		// If it is not held, it was released just now, or is another file by now.
		if err != nil || s.Held {
			return nil, s, err
		}
	}
}

// stale reports whether a dead process holds s: one of an earlier run of this container, whose
// end the server of a network file system has not noticed. This requires that the kernel does
// not know the holder. If the kernel knows it, even as a process in another PID namespace, the
// holder is alive, whatever two containers of one host name have written.
func (s *State) stale() bool {
	if !s.Held || s.PID >= 0 || s.Holder.Host == "" || s.Holder.Foreign() {
		return false
	}
	return !s.Holder.lives()
}

// signPatience is how long a process that has taken a fence gets to sign it.
const signPatience = 2 * time.Second

// breakUp puts a new file, which we hold, in the place of f, which is stale according to s. It
// returns nil if f is no longer stale, or if another process is about to do the same.
//
// The process that breaks a fence holds a second lock, and removes that lock's file last. This
// closes a race: a process that gets the second lock later, on the removed file, finds that f
// has been replaced.
func (g *Gate) breakUp(f *Fence, s State) (*Fence, error) {
	time.Sleep(signPatience)
	if again, err := Look(f.dir, File, 0); err != nil || !again.stale() || again.Holder != s.Holder {
		return nil, err
	}
	const breaker, fresh = File + ".break", File + ".new"
	second, err := create(f.dir, breaker, g.UID, g.GID)
	if errors.Is(err, unix.EEXIST) {
		second, err = f.dir.OpenFile(breaker, unix.O_RDWR, 0)
		if errors.Is(err, unix.ENOENT) {
			return nil, nil // another process has broken the fence just now
		}
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(second)
	if mine, err := tryLock(second); err != nil || !mine {
		return nil, err
	}
	if still, err := f.current(); err != nil || !still {
		return nil, err
	}
	if err := f.dir.Unlink(fresh); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	n := &Fence{dir: f.dir}
	if n.fd, err = create(f.dir, fresh, g.UID, g.GID); err != nil {
		return nil, err
	}
	mine, err := tryLock(n.fd)
	if err == nil && mine {
		err = f.dir.Rename(fresh, f.dir, File)
	}
	if err != nil || !mine {
		n.Close()
		return nil, err
	}
	_ = f.dir.Unlink(breaker)
	g.Say("%s: its holder (pid %d) was of a previous life of this container: its lock is broken", f.Path(), s.Holder.PID)
	return n, nil
}
