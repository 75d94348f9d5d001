//go:build linux

package reconcile

import (
	"golang.org/x/sys/unix"

	"hermes-s6/lib/inotify"
	"hermes-s6/lib/profile"
)

// A watch has inotify(7) tell which profiles may have changed. Where it cannot, since
// another machine writes or the kernel has no watches left, the follower looks.
type watch struct {
	*inotify.Watch
	names  map[int32]string // by watch descriptor: a profile's, or below
	failed error            // why not all is watched
}

// What is watched besides profiles' directories. No profile has these names.
const (
	watchedHome     = "/"
	watchedProfiles = "/profiles"
)

const (
	watchMask = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_CLOSE_WRITE |
		unix.IN_EXCL_UNLINK
	// watchBuffer is room for what a gateway does that writes all the time.
	watchBuffer = 64 << 10
)

func newWatch() *watch {
	w := &watch{names: map[int32]string{}}
	w.Watch, w.failed = inotify.New()
	return w
}

// follow watches the directory of profile name, or what name stands for. To watch it again
// changes nothing; it may be another directory by now.
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
		return // not there, or not any more
	}
	defer done()
	dir, err := w.Add(path, watchMask)
	if err != nil {
		w.failed = err
		return
	}
	w.names[dir] = name
}

// read calls changed with each profile that may have changed, and with "" where it may be
// any of them.
func (w *watch) read(changed func(name string)) {
	w.Read(make([]byte, watchBuffer), func(e inotify.Event) {
		name, known := w.names[e.Dir]
		switch {
		case e.Lost():
			changed("")
		case e.Ended():
			delete(w.names, e.Dir)
		case !known:
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
