package profile

import (
	"errors"
	"io/fs"
	"slices"

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
	Name  string
	State State
	// Settings are what is recorded. Of a large record it is the ports and the
	// dialect alone, so that a home of large ones has room in memory: Large says
	// that the rest is to be had from Home.Settings.
	Settings Settings
	Large    bool
	// Standalone and Parked are what the configuration of a profile whose gateway
	// is to start says: that it runs beside one that serves all profiles; that it
	// does not run.
	Standalone, Parked bool
	// Stray is set for profiles/default/, which is not the root profile.
	Stray bool
	// Unclean is set for a gateway that ended without a word, and was not
	// started since.
	Unclean bool
	// Warning is about a state that is no use, Err about a profile that cannot
	// be done at all: without its record, say, it would be another.
	Warning, Err error
}

// Survey finds the profiles of h: first the root profile, which is the home itself, also
// an empty one, then the others by name. stale tells of which of them no gateway can be
// running, here or elsewhere: what names processes is removed there.
func (h *Home) Survey(stale func(name string) bool) ([]Found, error) {
	found := []Found{h.examine(h.dir, Default, stale)}
	profiles, names, err := h.list()
	if err != nil {
		return nil, err
	}
	defer profiles.Close()
	slices.Sort(names)
	all := make([]*Found, len(names)) // of which most may be none
	par.Do(len(names), func(i int) {
		if f, is := h.surveyOne(profiles, names[i], stale); is {
			all[i] = &f
		}
	})
	for _, f := range all {
		if f != nil {
			found = append(found, *f)
		}
	}
	return found, nil
}

// surveyOne looks at one entry of profiles/; false where it is no profile.
func (h *Home) surveyOne(profiles *dir.Dir, name string, stale func(string) bool) (Found, bool) {
	d, err := profiles.Dir(name)
	err = notLink(profiles, name, err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Found{}, false // a file, or removed since
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
	return h.examine(d, name, stale), true
}

// examine reads what is recorded in d, the directory of profile name.
func (h *Home) examine(d *dir.Dir, name string, stale func(string) bool) Found {
	f := readIntent(d, name)
	f.Err = errors.Join(f.Err, h.withRecord(d, settingsFile, func(text []byte, s Settings) error {
		if f.Large = len(text) > smallSettings; f.Large {
			s = Settings{Port: s.Port, DerivedPort: s.DerivedPort, Dialect: s.Dialect}
		}
		f.Settings = s
		return nil
	}))
	f.Unclean = f.Unclean && stale(name)
	for _, file := range staleFiles {
		// On a read-only file system unlink fails for nothing, too.
		if there, err := d.Exists(file); err == nil && there && stale(name) {
			// unlink(2) removes a link, and not what it leads to.
			f.Err = errors.Join(f.Err, d.Unlink(file))
		}
	}
	return f
}

// readIntent reads what says whether the gateway of profile name, whose directory is d,
// is to start.
func readIntent(d *dir.Dir, name string) Found {
	f := Found{Name: name}
	var configErr error
	state, v, stateErr := readState(d, stateFile)
	if errors.Is(stateErr, fs.ErrNotExist) {
		stateErr = nil
	}
	f.State, f.Unclean = state, uncleanEnd(v, state)
	if f.State.Starts() && name != Default {
		f.Standalone, f.Parked, configErr = placed(d)
	}
	// A state or a configuration that is kept from us for good counts as none. Any
	// other may be fine, and to do without would change the slot.
	f.Warning = errors.Join(stateErr, configErr)
	kept := func(err error) bool { return fail.Unread(err) && !errors.Is(err, fs.ErrPermission) }
	if kept(stateErr) || kept(configErr) {
		f.Err, f.Warning = f.Warning, nil
	}
	return f
}

// Reread brings what says whether f's gateway is to start up to date.
func (h *Home) Reread(f *Found) error {
	d, err := h.open(f.Name)
	if err != nil {
		return err
	}
	defer d.Close()
	now := readIntent(d, f.Name)
	f.State, f.Standalone, f.Parked = now.State, now.Standalone, now.Parked
	return now.Err
}
