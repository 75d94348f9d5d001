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
)

// A Change says what Put did.
type Change struct {
	Made  bool     // there was no slot
	Files []string // the files that were changed
}

// Put brings h's slot to what d defines, whatever is there. A slot that is
// supervised is changed in place, file by file; one that is not, and differs,
// is made anew. It refuses to touch what somebody supervises through a link.
func (h *Hold) Put(d *Definition) (change Change, err error) {
	defer func() {
		if err == nil {
			h.scan.keepSeal(d)
		}
	}()
	found, err := h.scan.Look(d)
	switch {
	case err != nil || found.Matches:
		return Change{}, err
	case !found.Exists:
		return Change{Made: true}, h.Publish(d)
	case found.Live:
		files, err := h.update(d)
		return Change{Files: files}, err
	}
	if err := h.evict(); err != nil {
		return Change{}, err
	}
	if err := h.Publish(d); err != nil {
		_ = h.Restore() // the error that counts is the first
		return Change{}, err
	}
	return Change{Files: []string{everything}}, nil
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
func (s *Scan) Look(d *Definition) (found Found, err error) {
	service := s.Service(d.Profile)
	if s.sealed(d) {
		// The logger's supervisor does not matter to what is not changed.
		found.Live, err = service.Supervised()
		return Found{true, found.Live, true}, err
	}
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
	if found.Live, err = supervised(service); err != nil {
		return found, err
	}
	if found.Matches = matches(slot, d, found.Live); found.Matches {
		s.keepSeal(d)
	}
	return found, nil
}

// notThroughLink is nil unless service, a link that anybody may have put there,
// leads to one that is supervised.
func notThroughLink(service s6.Service) error {
	if running, err := service.Supervised(); err == nil && running {
		return fail.Errorf(fail.System, "%s: a link to a service that is supervised: remove it, and rescan", service.Path())
	}
	return nil
}

// matches tells whether slot is what build would make of d. In one that is live,
// what the supervisor found is its own, and only what is missing counts.
func matches(slot *dir.Dir, d *Definition, live bool) bool {
	for _, f := range Render(d) {
		// Of ./down, which s6-supervise makes as well, nothing counts but that it is there.
		if f.Name != downFile && !slot.Is(f.Name, f.Mode, euid(), f.Data) {
			return false
		}
	}
	if there, err := slot.Exists(downFile); err != nil || there != d.Down {
		return false
	}
	group := groupOf(d.Account)
	for _, seed := range seeds {
		st, err := slot.Stat(seed.name)
		if err != nil {
			return false
		}
		if live {
			continue
		}
		if st.Mode != seed.mode || int(st.Uid) != euid() || seed.shared && group >= 0 && int(st.Gid) != group {
			return false
		}
	}
	return true
}

// seeds are what seed makes in a slot and its log.
var seeds = []struct {
	name   string
	mode   uint32
	shared bool // with the account's group
}{
	{"supervise", unix.S_IFDIR | superviseMode, false},
	{"event", unix.S_IFDIR | eventMode, true},
	{"supervise/event", unix.S_IFDIR | eventMode, true},
	{"supervise/control", unix.S_IFIFO | controlMode, true},
	{"log/supervise", unix.S_IFDIR | superviseMode, false},
	{"log/event", unix.S_IFDIR | eventMode, true},
	{"log/supervise/event", unix.S_IFDIR | eventMode, true},
	{"log/supervise/control", unix.S_IFIFO | controlMode, true},
}

// previous is the name in a hold of what Put has made anew, until its end.
const previous = "previous"

// evict takes what has the name of h's slot, which nobody supervises, out of the scan
// directory.
func (h *Hold) evict() error {
	err := h.scan.dir.Rename(profile.Slot(h.profile), h.dir, previous)
	h.evicted = err == nil
	return err
}

// Restore brings back what Put has made anew, in place of what it made. Where Put has
// changed a slot that was supervised there is nothing to bring back.
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
	return h.dir.Publish(previous, h.scan.dir, profile.Slot(h.profile))
}
