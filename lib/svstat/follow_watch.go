//go:build linux

package svstat

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fence"
	"hermes-s6/lib/inotify"
	"hermes-s6/lib/profile"
)

// watches are what inotify(7) tells a Follower: for each service its slot, supervise/ and
// profile, and the fence itself, which its holder writes and keeps open; and the directories
// above them.
type watches struct {
	*inotify.Watch
	roles  map[int32][]role // by watch descriptor: one directory may have several roles
	scan   watched          // where the scan directory is, and what is in it
	home   watched
	real   map[string]string // where a path led when that could be resolved
	failed error             // why not all is watched
	buf    []byte
}

// watched are the watch descriptors of one owner.
type watched struct{ of []int32 }

// A role is a reason to watch a directory.
type role struct {
	kind int
	name string    // of the entry that counts, "" if kind implies it
	of   *followed // nil if it belongs to no single service
	by   *watched
}

const (
	whereScan    = iota // the way to the scan directory
	whereHome           // the way to the home
	whereService        // the way to a service directory that was named
	inScan
	inHome
	inProfiles
	inSlot
	inSupervise
	inProfile
	theFence
)

// Events about names, and about files that are written in place or closed.
const (
	names   = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM
	written = names | unix.IN_CLOSE_WRITE
	signed  = unix.IN_MODIFY | unix.IN_CLOSE_WRITE
)

func newWatches() *watches {
	w := &watches{roles: map[int32][]role{}, real: map[string]string{}, buf: make([]byte, 64<<10)}
	w.Watch, w.failed = inotify.New()
	return w
}

// add watches path in a role, and returns why it does not.
func (w *watches) add(path string, mask uint32, r role) error {
	if w.FD < 0 {
		return nil // which has been reported
	}
	add := w.AddMore
	if r.kind == theFence {
		add = w.AddFile
	}
	wd, err := add(path, mask)
	switch err {
	case nil:
		w.roles[wd] = append(w.roles[wd], r)
		r.by.of = append(r.by.of, wd)
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES: // missing, or not readable for us
	default:
		w.failed = os.NewSyscallError("inotify_add_watch", err)
	}
	return err
}

// drop stops watching what was watched for by.
func (w *watches) drop(by *watched) {
	for _, wd := range by.of {
		var left []role
		for _, r := range w.roles[wd] {
			if r.by != by {
				left = append(left, r)
			}
		}
		if w.roles[wd] = left; left == nil {
			delete(w.roles, wd)
			w.Remove(wd)
		}
	}
	by.of = nil
}

// way watches the place where path is, or would be made: the directory above it, or the
// nearest one that exists. If path is a link, it watches the place to which the link led as well.
func (w *watches) way(path string, r role) {
	path, err := filepath.Abs(path)
	if err != nil {
		return
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		w.real[path] = real
	}
	w.above(path, r)
	if real := w.real[path]; real != "" && real != path {
		w.above(real, r)
	}
}

func (w *watches) above(path string, r role) {
	for range tries {
		at := path
		for ; ; at = filepath.Dir(at) {
			r.name = filepath.Base(at)
			if w.add(filepath.Dir(at), names, r) == nil || at == filepath.Dir(at) {
				break
			}
		}
		// Check again: a directory in between may have been made meanwhile.
		if _, err := os.Lstat(at); at == path || err != nil {
			return
		}
	}
}

// scanDir watches the way to the scan directory, and drops the previous watches.
func (w *watches) scanDir(f *Follower) {
	w.drop(&w.scan)
	w.way(f.ScanPath, role{kind: whereScan, by: &w.scan})
}

// homeDir does the same for the home.
func (w *watches) homeDir(f *Follower) {
	w.drop(&w.home)
	w.way(f.HomePath, role{kind: whereHome, by: &w.home})
}

// profiles watches what concerns all profiles of the home.
func (w *watches) profiles(home *profile.Home) {
	for name, kind := range map[string]int{profile.Default: inHome, "": inProfiles} {
		if path, done, err := home.Watch(name); err == nil {
			_ = w.add(path, names, role{kind: kind, by: &w.home})
			done()
		}
	}
}

// service watches the directories of e. Any of them may be missing: it will then be made in
// one that is watched.
func (w *watches) service(f *Follower, e *followed) {
	in := f.in(e)
	if in == nil {
		return
	}
	path := in.ProcPath() + "/" + e.Service.Name
	if e.In != nil { // it is named by a path
		path = e.Service.Name
		w.way(path, role{kind: whereService, of: e, by: &e.watched})
	}
	_ = w.add(path, names, role{kind: inSlot, of: e, by: &e.watched})
	_ = w.add(path+"/supervise", written, role{kind: inSupervise, of: e, by: &e.watched})
	if f.Depth < Table || !e.Gateway || f.home() == nil {
		return
	}
	path, done, err := f.home().Watch(e.Name)
	if err != nil {
		return
	}
	defer done()
	_ = w.add(path, written, role{kind: inProfile, of: e, by: &e.watched})
	_ = w.add(path+"/"+fence.File, signed, role{kind: theFence, of: e, by: &e.watched})
}

// read records what has happened.
func (w *watches) read(f *Follower, now time.Time) {
	w.Read(w.buf, func(e inotify.Event) {
		if e.Lost() {
			f.reopen, f.rehome = true, true
			return
		}
		roles := w.roles[e.Dir]
		if e.Ended() {
			delete(w.roles, e.Dir)
		}
		for _, r := range roles {
			f.event(r, e, now)
		}
	})
}

// event records what has happened in a directory that is watched in role r.
func (f *Follower) event(r role, e inotify.Event, now time.Time) {
	switch r.kind {
	case whereScan:
		f.reopen = f.reopen || e.Ended() || e.Name == r.name
	case whereHome:
		f.rehome = f.rehome || e.Ended() || e.Name == r.name
	case inHome:
		f.rehome = f.rehome || e.Name == "profiles"
	case inScan:
		f.inScan(e, now)
	case inProfiles:
		for _, of := range f.order {
			if of.Gateway && of.Name == e.Name {
				of.rewatch = true
				of.happened(now)
			}
		}
	default:
		if counts, other := r.counts(e); counts {
			r.of.rewatch = r.of.rewatch || other
			r.of.happened(now)
		}
	}
}

// counts reports whether e concerns the service of r, and whether one of its directories may
// have been replaced.
func (r *role) counts(e inotify.Event) (counts, other bool) {
	if r.kind == whereService && e.Name == r.name {
		return true, true
	}
	switch e.Name {
	case "":
		return r.kind == theFence || e.Ended(), e.Ended()
	case "down":
		return r.kind == inSlot, false
	case "supervise":
		return r.kind == inSlot, true
	case "status", "lock", "backoff":
		// A new status is renamed into place, a supervisor closes its lock however it ends,
		// and finish writes how long it waits.
		return r.kind == inSupervise, false
	case fence.File:
		return r.kind == inProfile, true
	case r.name:
		return true, true
	}
	return r.kind == inProfile && profile.Watched(e.Name), false
}

// inScan records what has happened in the scan directory.
func (f *Follower) inScan(e inotify.Event, now time.Time) {
	name, ok := profile.FromSlot(e.Name)
	if !ok {
		return
	}
	of := f.all[e.Name]
	if of == nil && f.All {
		of = f.appeared(name)
	}
	if of == nil && f.root != nil && name == profile.Default {
		of = f.root
	}
	if of != nil {
		of.rewatch = true
		of.happened(now)
	}
}
