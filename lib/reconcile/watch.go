//go:build linux

package reconcile

import (
	"cmp"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/profile"
)

// A watch has inotify(7) tell which profiles may have changed. Where it cannot, since
// another machine writes or the kernel has no watches left, the follower looks.
type watch struct {
	fd     int
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
		unix.IN_MOVE_SELF | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK
	// watchBuffer is room for what a gateway does that writes all the time.
	watchBuffer = 64 << 10
)

func newWatch() *watch {
	w := &watch{names: map[int32]string{}}
	w.fd, w.failed = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	return w
}

func (w *watch) close() {
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
}

// add watches the directory of profile name, or what name stands for. To watch it again
// changes nothing; it may be another directory by now.
func (w *watch) add(home *profile.Home, name string) {
	if w.fd < 0 {
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
	wd, err := unix.InotifyAddWatch(w.fd, path, watchMask)
	if err != nil {
		w.failed = err
		return
	}
	w.names[int32(wd)] = name
}

// watches watches profile name before it is looked at, so that nothing falls in between,
// and tells whether it does. Of directories that are no profiles, and may become some,
// there is room for so many: each costs the kernel a watch, and us memory.
func (f *Follower) watches(h *profile.Home, name string, p *followed) bool {
	switch {
	case name == profile.Default: // by the home
	case p.known() || len(f.watch.names) < f.known+f.room:
		f.watch.add(h, name)
	default:
		f.watch.failed = cmp.Or(f.watch.failed, errStrangers)
		return false
	}
	return true
}

// maxStrangers is how many directories below profiles/ are watched that are no profiles,
// and how many of them can be due.
const maxStrangers = 2048

var errStrangers = errors.New("too many directories in profiles/ have no SOUL.md")

// await waits until one of fds is readable, or it is due. Those below 0 are left out.
func await(due time.Time, fds ...int) error {
	polled := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		polled[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	timeout := max(0, time.Until(due))
	_, err := unix.Poll(polled, int((timeout+time.Millisecond-1)/time.Millisecond))
	if err == unix.EINTR {
		err = nil
	}
	return err
}

// read calls changed with each profile that may have changed, and with "" where it may be
// any of them.
func (w *watch) read(changed func(name string)) {
	buf := make([]byte, watchBuffer)
	n, err := unix.Read(w.fd, buf)
	if err != nil {
		return
	}
	for b := buf[:max(n, 0)]; len(b) >= unix.SizeofInotifyEvent; {
		wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		file := unix.ByteSliceToString(b[unix.SizeofInotifyEvent:end])
		b = b[end:]
		name, known := w.names[wd]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			changed("")
		case mask&unix.IN_IGNORED != 0:
			delete(w.names, wd)
		case !known:
		case mask&unix.IN_MOVE_SELF != 0:
			// Where it is now it may be none of ours. What has its name is watched anew.
			if name != watchedHome && name != watchedProfiles {
				_, _ = unix.InotifyRmWatch(w.fd, uint32(wd))
				changed(name)
			}
		case name == watchedProfiles:
			if profile.CheckName(file) == nil {
				changed(file)
			}
		case name == watchedHome && file == "profiles":
			changed("")
		case name == watchedHome && profile.Watched(file):
			changed(profile.Default)
		case profile.Watched(file):
			changed(name)
		}
	}
}
