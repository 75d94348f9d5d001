package slot

import (
	"os"
	"path"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
)

// A Change says what Put did.
type Change struct {
	Made  bool     // there was no slot
	Files []string // that were changed or, with Built, all of them
	Built bool     // the slot is another directory than before: it awaits supervision
}

// Put brings h's slot to what d defines, whatever is there. A slot that is
// supervised is changed in place, file by file; one that is not, and differs,
// is made anew. It refuses to touch what somebody supervises through a link.
func (h *Hold) Put(d *Definition) (Change, error) {
	there, err := h.Exists()
	if err != nil {
		return Change{}, err
	}
	if !there {
		return Change{Made: true, Built: true}, h.Publish(d)
	}
	live, err := h.live()
	if err != nil {
		return Change{}, err
	}
	if live {
		files, err := h.update(d)
		return Change{Files: files}, err
	}
	if h.matches(d, live) {
		return Change{}, nil
	}
	if err := h.evict(); err != nil {
		return Change{}, err
	}
	return Change{Built: true, Files: []string{"all"}}, h.Publish(d)
}

// live tells whether what has the name of h's slot is supervised. Exit code 111
// where it is, and is no directory of ours.
func (h *Hold) live() (bool, error) {
	service := h.scan.Service(h.profile)
	st, err := h.scan.dir.Stat(service.Name)
	if err != nil {
		return false, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return h.supervised(service)
	}
	// A file, or a link that anybody may have put there.
	if running, err := service.Supervised(); err == nil && running {
		return false, fail.Errorf(fail.System, "%s: a link to a service that is supervised: remove it, and rescan", service.Path())
	}
	return false, nil
}

// evict removes what has the name of h's slot, which nobody supervises. By way
// of the hold: half of it must not be found there by s6-svscan.
func (h *Hold) evict() error {
	if err := h.scan.dir.Rename(profile.Slot(h.profile), h.dir, work); err != nil {
		return err
	}
	return h.dir.RemoveAll(work)
}

// matches tells whether h's slot is what build would make of d. In one that is
// live, what the supervisor found is its own.
func (h *Hold) matches(d *Definition, live bool) bool {
	slot, err := h.scan.dir.Dir(profile.Slot(h.profile))
	if err != nil {
		return false
	}
	defer slot.Close()
	log, err := slot.Dir(logDir)
	if err != nil {
		return false
	}
	defer log.Close()
	for _, f := range Render(d) {
		in := slot
		if path.Dir(f.Name) == logDir {
			in = log
		}
		if !same(in, path.Base(f.Name), f) {
			return false
		}
	}
	if down, err := slot.Exists(downFile); err != nil || down != d.Down {
		return false
	}
	group := groupOf(d.Account)
	return seeded(slot, group, live) && seeded(log, group, live)
}

// seeded tells whether service is as seed leaves it; in one that is live, whether
// seed would find nothing to make.
func seeded(service *dir.Dir, group int, live bool) bool {
	supervise, err := service.Dir("supervise")
	if err != nil {
		return false
	}
	defer supervise.Close()
	ours := func(in *dir.Dir, name string, mode uint32, group int) bool {
		st, err := in.Stat(name)
		if live {
			return err == nil
		}
		return err == nil && st.Mode == mode && int(st.Uid) == os.Geteuid() && (group < 0 || int(st.Gid) == group)
	}
	return ours(service, ".", unix.S_IFDIR|0o755, -1) &&
		ours(supervise, ".", unix.S_IFDIR|superviseMode, -1) &&
		ours(service, "event", unix.S_IFDIR|eventMode, group) &&
		ours(supervise, "event", unix.S_IFDIR|eventMode, group) &&
		ours(supervise, "control", unix.S_IFIFO|controlMode, group)
}

// Foresee tells what Put would do with d, and touches nothing.
func (s *Scan) Foresee(d *Definition) (Change, error) {
	h := &Hold{scan: s, profile: d.Profile}
	there, err := h.Exists()
	if err != nil {
		return Change{}, err
	}
	if !there {
		return Change{Made: true, Built: true}, nil
	}
	live, err := h.live()
	if err != nil || h.matches(d, live) {
		return Change{}, err
	}
	return Change{Built: !live, Files: []string{"all"}}, nil
}
