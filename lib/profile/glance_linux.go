package profile

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
)

// A mark distinguishes one content of a file from another without reading it.
type mark struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

// markOf returns the mark of name in d, or the zero mark if there is no such file.
func markOf(d *dir.Dir, name string) (m mark, err error) {
	st, err := d.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	return markIn(st), err
}

// markIn returns the mark that st holds.
func markIn(st unix.Stat_t) mark {
	return mark{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}
}

// A Glance is what determines a profile's slot and what is wanted of its gateway. It reads only
// files that have changed since the previous Glance, and is compared with that.
type Glance struct {
	// Desired is what the operator asked for last. It keeps its old value if the state does
	// not say, or cannot be read.
	Desired               string
	dev, ino              uint64
	record, config, parks mark
	state                 mark
	mtime                 unix.Timespec // of the directory: when a file was last added or removed
}

// Glance looks at profile name; was is the previous Glance, nil if there was no profile. It
// returns nil if there is no such profile, and an error if that cannot be known.
func (h *Home) Glance(name string, was *Glance) (*Glance, error) {
	there, err := h.Has(name)
	if err != nil || !there {
		return nil, err
	}
	d, err := h.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	st, err := d.Stat(".")
	g := &Glance{dev: uint64(st.Dev), ino: st.Ino, mtime: st.Mtim}
	for name, to := range map[string]*mark{settingsFile: &g.record, configFile: &g.config, parkedFile: &g.parks, stateFile: &g.state} {
		if err == nil {
			*to, err = markOf(d, name)
		}
	}
	if err != nil {
		return nil, err
	}
	if was != nil && !g.Other(was) {
		g.Desired = was.Desired
		if g.state == was.state {
			return g, nil
		}
	}
	// A gateway may drop the desired state when it writes its own. That asks for nothing new.
	if s, _, err := readState(d, stateFile); err == nil && s.Desired != "" {
		g.Desired = s.Desired
	}
	return g, nil
}

// Intends reports whether g wants something else of the gateway than was.
func (g *Glance) Intends(was *Glance) bool { return was == nil || g.Desired != was.Desired }

// Differs reports whether g may lead to another slot than was.
func (g *Glance) Differs(was *Glance) bool {
	return g.Other(was) || g.record != was.record || g.parks != was.parks || g.Reconfigured(was)
}

// Other reports whether g is another directory than was, that is, another profile of that name.
func (g *Glance) Other(was *Glance) bool { return was == nil || g.dev != was.dev || g.ino != was.ino }

// Reconfigured reports whether the configuration has changed. The root profile's configuration
// affects all other profiles as well.
func (g *Glance) Reconfigured(was *Glance) bool { return was != nil && g.config != was.config }

// tick is how far apart the kernel's coarse file clock can put simultaneous events.
const tick = 10 * time.Millisecond

// Unregistered reports whether the profile was unregistered after its state was written: it
// has no record, which every profile with a slot has, and its directory has lost a file since.
// What the state asks for was then asked for before that.
func (g *Glance) Unregistered() bool {
	return g.record == mark{} && time.Duration(g.mtime.Nano()-g.state.ctime.Nano()) > tick
}

// Watched reports whether a Glance depends on the file called name in a profile's directory,
// or the file makes the directory a profile.
func Watched(name string) bool {
	switch name {
	case soulFile, settingsFile, configFile, parkedFile, stateFile:
		return true
	}
	return false
}

// An ID distinguishes a directory from a later one of the same name.
type ID struct{ dev, ino uint64 }

// idOf returns the ID of d, or zero if d is nil.
func idOf(d *dir.Dir, err error) (ID, error) {
	if d == nil || err != nil {
		return ID{}, err
	}
	st, err := d.Stat(".")
	return ID{uint64(st.Dev), st.Ino}, err
}

// IDs returns the IDs of the home and of profiles/, zero for one that does not exist.
func (h *Home) IDs() (home, profiles ID, err error) {
	if home, err = idOf(h.dir, nil); err != nil {
		return home, profiles, err
	}
	d, err := h.dir.Dir(profilesDir)
	if err = notLink(h.dir, profilesDir, err); errors.Is(err, fs.ErrNotExist) {
		return home, profiles, nil
	}
	profiles, err = idOf(d, err)
	d.Close()
	return home, profiles, err
}

// Names returns the names of the directories below profiles/ that can be profiles, and both
// IDs as IDs does.
func (h *Home) Names() (names []string, home, profiles ID, err error) {
	if home, err = idOf(h.dir, nil); err != nil {
		return nil, home, profiles, err
	}
	d, all, err := h.list()
	profiles, err = idOf(d, err)
	d.Close()
	return slices.DeleteFunc(all, func(name string) bool { return CheckName(name) != nil || name == Default }), home, profiles, err
}

// Watch returns a path through which the kernel finds the directory of profile name, or
// profiles/ if name is "", even if it is renamed. The path is valid until close is called.
func (h *Home) Watch(name string) (path string, close func(), err error) {
	d := (*dir.Dir)(nil)
	if name == "" {
		d, err = h.dir.Dir(profilesDir)
	} else {
		d, err = h.open(name)
	}
	if err != nil {
		return "", nil, err
	}
	return d.ProcPath(), d.Close, nil
}
