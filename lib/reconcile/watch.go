//go:build linux

package reconcile

import (
	"cmp"
	"errors"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/inotify"
	"hermes-s6/lib/profile"
)

// A watch learns from inotify(7) which profiles may have changed. It misses what another
// machine writes, and what the kernel has no watches left for. The follower then looks regularly.
type watch struct {
	*inotify.Watch
	names  map[int32]string // by watch descriptor: a profile's, or one of those below
	failed error            // why not all is watched
	ended  bool             // the home or profiles/ is no longer watched
}

// What is watched besides profiles' directories. No profile has these names.
const (
	watchedHome     = "/"
	watchedProfiles = "/profiles"
)

const (
	watchMask = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_CLOSE_WRITE |
		unix.IN_MOVE_SELF | unix.IN_EXCL_UNLINK
	// watchBuffer has room for the events of a gateway that writes all the time.
	watchBuffer = 64 << 10
)

func newWatch() *watch {
	w := &watch{names: map[int32]string{}}
	w.Watch, w.failed = inotify.New()
	return w
}

// follow watches the directory of profile name, or what name stands for. Watching it again
// changes nothing, unless it is another directory by now.
func (w *watch) follow(home *profile.Home, name string) {
	if w.FD < 0 {
		return
	}
	of := name
	switch name {
	case watchedHome:
		of = profile.Default
	case watchedProfiles:
		of = ""
	}
	path, done, err := home.Watch(of)
	if err != nil {
		return // it does not exist, or no longer
	}
	defer done()
	dir, err := w.Add(path, watchMask)
	if err != nil {
		w.failed = err
		return
	}
	w.names[dir] = name
}

// watches starts to watch profile name before it is looked at, so that no change is missed in
// between, and reports whether it does. The number of watched directories that are not yet
// profiles is limited: each one costs the kernel a watch, and us memory.
func (f *Follower) watches(h *profile.Home, name string, p *followed) bool {
	switch {
	case name == profile.Default: // by the home
	case p.known() || len(f.watch.names) < f.known+f.room:
		f.watch.follow(h, name)
	default:
		f.watch.failed = cmp.Or(f.watch.failed, errStrangers)
		return false
	}
	return true
}

// maxStrangers limits how many directories below profiles/ that are not profiles are watched,
// and how many of them can be due.
const maxStrangers = 2048

var errStrangers = errors.New("too many directories in profiles/ have no SOUL.md")

// read calls changed with each profile that may have changed, or with "" if it may be any of them.
func (w *watch) read(changed func(name string)) {
	w.Read(make([]byte, watchBuffer), func(e inotify.Event) {
		name, known := w.names[e.Dir]
		switch {
		case e.Lost():
			changed("")
		case e.Ended():
			delete(w.names, e.Dir)
			if name == watchedHome || name == watchedProfiles {
				// The new directory may have the inode of the old one.
				w.ended = true
				changed("")
			}
		case !known:
		case e.Mask&unix.IN_MOVE_SELF != 0:
			// After a move it may be outside the home. What now has its name is watched anew.
			if name != watchedHome && name != watchedProfiles {
				w.Remove(e.Dir)
				changed(name)
			}
		case name == watchedProfiles:
			if profile.CheckName(e.Name) == nil {
				changed(e.Name)
			}
		case name == watchedHome && e.Name == "profiles":
			changed("")
		case name == watchedHome && profile.Watched(e.Name):
			changed(profile.Default)
		case profile.Watched(e.Name):
			changed(name)
		}
	})
}
