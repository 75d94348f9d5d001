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
	Anew  bool     // it was made anew, and nobody supervises it yet
}

// Put brings h's slot to what d defines, whatever is there. A slot that is
// supervised is changed in place, file by file; one that is not, and differs, or
// whose supervisors cannot be kept, is made anew. It refuses to touch what somebody
// supervises through a link.
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

// everything stands in Change.Files for a slot that was made anew.
const everything = "everything"

// A Found says what there is of a slot.
type Found struct {
	Exists  bool
	Live    bool // a supervisor runs on it
	Matches bool // it is what Put would make of it
}

// Look compares the slot that d defines with what there is, and touches nothing.
// Exit code 111 where somebody supervises it through a link.
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
		// The logger's supervisor does not matter to what is not changed.
		found.Live, err = service.Supervised()
		return found, err
	}
	found.Live, err = supervised(service)
	if err != nil && !ours(slot) {
		err = nil // with what others can put there, Put deals
	}
	return found, err
}

// notThroughLink is nil unless service, a link that anybody may have put there,
// leads to one that is supervised.
func notThroughLink(service s6.Service) error {
	if running, err := service.Supervised(); err == nil && running {
		return fail.Hint(fail.Errorf(fail.System, "%s: a link to a supervised service", service.Path()), "remove the link, and run s6-svscanctl -an")
	}
	return nil
}

// matches tells whether the files of slot are those that build would make of d.
func matches(slot *dir.Dir, d *script.Definition) bool {
	for _, f := range script.Render(d) {
		// Of ./down, which s6-supervise makes as well, nothing counts but that it is there.
		if f.Name != script.DownFile && !slot.Is(f.Name, f.Mode, euid(), f.Data) {
			return false
		}
	}
	there, err := slot.Exists(script.DownFile)
	return err == nil && there == d.Down && isTidy(slot)
}

// previous is the name in a hold of the slot in whose place Put has made another.
const previous = "previous"

// evict takes what has the name of h's slot out of the scan directory; nobody supervises
// it. With keep it can come back: not where others could write, or root would run that again.
func (h *Hold) evict(keep bool) error {
	err := h.scan.dir.Rename(profile.Slot(h.profile), h.dir, previous)
	h.evicted = err == nil && keep
	if err == nil && !keep {
		err = h.dir.RemoveAll(previous)
	}
	return err
}

// Restore brings the slot back in whose place Put has made another, which goes. Where Put
// has changed a slot that was supervised there is none to bring back.
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
