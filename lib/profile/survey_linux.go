package profile

import (
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/par"
)

// soulFile makes a directory below profiles/ a profile.
const soulFile = "SOUL.md"

// staleFiles name processes, of a container that is gone once another boots.
var staleFiles = []string{"gateway.pid", "processes.json"}

// A Found is a profile of a home, or what is called like one and is none.
type Found struct {
	Name     string
	State    State
	Settings Settings
	// Standalone and Parked are what the configuration of a profile whose gateway
	// is to start says: that it runs beside one that serves all profiles; that it
	// does not run.
	Standalone, Parked bool
	// Stray is set for profiles/default/, which is not the root profile.
	Stray bool
	// Warning is about a state or a record that is no use, Err about a
	// profile that cannot be done at all.
	Warning, Err error
}

// Survey finds the profiles of h: the root profile, where the home holds a
// SOUL.md or a state, then the others by name. stale tells of which of them no
// gateway can be running, here or elsewhere: what names processes is removed
// there.
func (h *Home) Survey(stale func(name string) bool) ([]Found, error) {
	var found []Found
	root, err := isRoot(h.dir)
	if err != nil {
		return nil, err
	}
	if root {
		found = append(found, examine(h.dir, Default, stale))
	}
	profiles, names, err := h.list()
	if err != nil {
		return nil, err
	}
	defer profiles.Close()
	slices.Sort(names)
	all := make([]Found, len(names))
	is := make([]bool, len(names))
	par.Do(len(names), func(i int) { all[i], is[i] = surveyOne(profiles, names[i], stale) })
	for i := range all {
		if is[i] {
			found = append(found, all[i])
		}
	}
	return found, nil
}

// isRoot tells whether home holds the root profile.
func isRoot(home *dir.Dir) (bool, error) {
	there, err := home.Exists(soulFile)
	if err == nil && !there {
		there, err = home.Exists(stateFile)
	}
	return there, err
}

// surveyOne looks at one entry of profiles/; false where it is no profile.
func surveyOne(profiles *dir.Dir, name string, stale func(string) bool) (Found, bool) {
	d, err := profiles.Dir(name)
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		// A file is nothing to speak of.
		link := linked(profiles, name)
		return Found{Name: name, Err: link}, link != nil
	case errors.Is(err, fs.ErrNotExist):
		return Found{}, false // removed since
	case err != nil:
		return Found{Name: name, Err: err}, true
	}
	defer d.Close()
	// Looked at, not opened: what it is does not matter, so it cannot hurt.
	there, err := d.Exists(soulFile)
	if err == nil && !there {
		return Found{}, false
	}
	if err == nil && name != Default {
		err = CheckName(name)
	}
	if err != nil || name == Default {
		return Found{Name: name, Err: err, Stray: err == nil}, true
	}
	return examine(d, name, stale), true
}

// examine reads what is recorded in d, the directory of profile name.
func examine(d *dir.Dir, name string, stale func(string) bool) Found {
	f := Found{Name: name}
	var stateErr, settingsErr, configErr error
	if f.State, stateErr = readState(d, stateFile); errors.Is(stateErr, fs.ErrNotExist) {
		stateErr = nil
	}
	if f.Settings, settingsErr = readSettings(d, settingsFile); errors.Is(settingsErr, fs.ErrNotExist) {
		settingsErr = nil
	}
	if f.State.Starts() && name != Default {
		f.Standalone, f.Parked, configErr = placed(d)
	}
	f.Warning = errors.Join(stateErr, settingsErr, configErr)
	kept := func(err error) bool { return fail.Unread(err) && !errors.Is(err, fs.ErrPermission) }
	if kept(stateErr) || fail.Unread(settingsErr) || kept(configErr) {
		// They may be fine. To do without them would change the slot, and the
		// record of a port would replace all that is recorded. (A state or a
		// configuration that is kept from us for good counts as none.)
		f.Err, f.Warning = f.Warning, nil
	}
	for _, file := range staleFiles {
		// On a read-only file system unlink fails for nothing, too.
		if there, err := d.Exists(file); err == nil && there && stale(name) {
			// unlink(2) removes a link, and not what it leads to.
			f.Err = errors.Join(f.Err, d.Unlink(file))
		}
	}
	return f
}
