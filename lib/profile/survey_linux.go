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

// staleFiles name processes. Those are of a container that is gone once another boots.
var staleFiles = []string{"gateway.pid", "processes.json"}

// A Found is a profile of a home, or something that has the name of a profile and is none.
type Found struct {
	Name  string
	State State
	// Settings are what is recorded. For a large record they hold only the ports and the
	// dialect, so that a home full of large records fits into memory. Large says that
	// Home.Settings has the rest.
	Settings Settings
	Large    bool
	// Standalone and Parked come from the configuration of a profile whose gateway is to
	// start. Standalone: it runs beside the gateway that serves all profiles. Parked: it does
	// not run.
	Standalone, Parked bool
	// Stray is set for profiles/default/, which is not the root profile.
	Stray bool
	// Unclean is set for a gateway that ended without recording it and was not started since.
	Unclean bool
	// Warning is about an unusable state. Err is about a profile that cannot be handled at
	// all: without its record, for example, it would be a different one.
	Warning, Err error
}

// Survey finds the profiles of h: first the root profile, which is the home itself, even if
// empty, then the others by name. stale reports for which of them no gateway can be running,
// here or elsewhere; there Survey removes the files that name processes.
func (h *Home) Survey(stale func(name string) bool) ([]Found, error) {
	found := []Found{h.examine(h.dir, Default, stale)}
	profiles, names, err := h.list()
	if err != nil {
		return nil, err
	}
	defer profiles.Close()
	slices.Sort(names)
	all := make([]*Found, len(names)) // most of them may be no profiles
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

// surveyOne examines one entry of profiles/. It returns false if that is not a profile.
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
	// Check without opening the file: its type does not matter, so it can do no harm.
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
		// On a read-only file system unlink fails even if there is no such file.
		if there, err := d.Exists(file); err == nil && there && stale(name) {
			// unlink(2) removes a link itself, not its target.
			f.Err = errors.Join(f.Err, d.Unlink(file))
		}
	}
	return f
}

// readIntent reads what decides whether the gateway of profile name, whose directory is d, is
// to start.
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
	// A state or a configuration that we are permanently kept from reading counts as none. Any
	// other failure may be temporary; going on without the file would change the slot.
	f.Warning = errors.Join(stateErr, configErr)
	kept := func(err error) bool { return fail.Unread(err) && !errors.Is(err, fs.ErrPermission) }
	if kept(stateErr) || kept(configErr) {
		f.Err, f.Warning = f.Warning, nil
	}
	return f
}

// Reread refreshes what decides whether f's gateway is to start.
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
