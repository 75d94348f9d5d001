//go:build linux

package slot

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

// A Change says what Put did.
type Change struct {
	Made  bool     // there was no slot
	Files []string // the files that were changed
	Anew  bool     // it was made anew, and is not supervised yet
}

// Put makes h's slot match d, whatever is there. A supervised slot is changed in place, file
// by file. A slot that differs and is not supervised, or whose supervisors cannot be kept, is
// made anew. Put refuses to touch a slot that is supervised through a link.
func (h *Hold) Put(d *script.Definition) (Change, error) {
	found, err := h.scan.Look(d)
	switch {
	case err != nil || found.Matches:
		return Change{}, err
	case !found.Exists:
		return Change{Made: true}, h.Publish(d)
	}
	return h.change(d)
}

// everything is the content of Change.Files for a slot that was made anew.
const everything = "everything"

// A Found describes an existing slot.
type Found struct {
	Exists  bool
	Live    bool // a supervisor runs on it
	Matches bool // it is what Put would make of it
}

// Look compares the slot that d defines with what is there, and touches nothing. It fails with
// exit code 111 if the slot is supervised through a link.
func (s *ScanDir) Look(d *script.Definition) (found Found, err error) {
	service := s.Service(d.Profile)
	slot, err := s.dir.Dir(service.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found, nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return Found{Exists: true}, notThroughLink(service)
	case err != nil:
		return found, err
	}
	found.Exists = true
	defer slot.Close()
	if found.Matches = proper(slot, groupOf(d.Account)) && matches(slot, d); found.Matches {
		// Without a change, the logger's supervisor does not matter.
		found.Live, err = service.Supervised()
		return found, err
	}
	found.Live, err = supervised(service)
	if err != nil && !ours(slot) {
		err = nil // Put handles what other users can put there
	}
	return found, err
}

// notThroughLink returns an error if service, a link that any user may have made, leads to a
// supervised service.
func notThroughLink(service s6.Service) error {
	if running, err := service.Supervised(); err == nil && running {
		return fail.Hint(fail.Errorf(fail.System, "%s: a link to a supervised service", service.Path()), "remove the link, and run s6-svscanctl -an")
	}
	return nil
}

// matches reports whether the files of slot are those that build would make of d.
func matches(slot *dir.Dir, d *script.Definition) bool {
	for _, f := range script.Render(d) {
		// s6-supervise makes ./down as well, so only its existence counts.
		if f.Name != script.DownFile && !slot.Is(f.Name, f.Mode, euid(), f.Data) {
			return false
		}
	}
	there, err := slot.Exists(script.DownFile)
	return err == nil && there == d.Down && isTidy(slot)
}

// previous is the name in a hold of the slot that Put has replaced with another.
const previous = "previous"

// evict moves whatever has the name of h's slot out of the scan directory. It must not be
// supervised. With keep it can be restored. Do not keep a slot in which others could write, or
// root would run their scripts again.
func (h *Hold) evict(keep bool) error {
	err := h.scan.dir.Rename(profile.Slot(h.profile), h.dir, previous)
	h.evicted = err == nil && keep
	if err == nil && !keep {
		err = h.dir.RemoveAll(previous)
	}
	return err
}

// Restore brings back the slot that Put has replaced and removes the new one. After Put has
// changed a supervised slot in place, there is none to bring back.
func (h *Hold) Restore() error {
	if !h.evicted {
		return nil
	}
	if there, err := h.Exists(); err != nil || there {
		if err = errors.Join(err, h.Undo()); err != nil {
			return err
		}
	}
	h.evicted = false
	return h.dir.RenameNoReplace(previous, h.scan.dir, profile.Slot(h.profile))
}
