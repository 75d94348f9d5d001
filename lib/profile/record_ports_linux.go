package profile

import (
	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/par"
)

// A Given is a profile, which has a directory, and the port that it was given.
type Given struct {
	Name string
	Port int
}

// RecordPorts writes down what ports were given, and keeps every other byte of a record
// that is there. It returns the error of each. Where they are many there is one sync for all,
// since a disk may take milliseconds for each, and a container boots meanwhile:
//
//   - A first record is not synced. By a power cut it is lost, or empty, which counts as
//     none: then the gateway that had the port is down, too, and the same claims find the
//     same port again.
//   - A record that is there holds what was asked for, and must never be cut off. So all
//     that are to take the place of one are written beside it, then the file system is
//     synced, and only then is the first renamed. By a power cut each is the old one or the
//     new one.
//
// A sync is about all that others have written to the volume as well, and can take seconds:
// none is asked for where all records are first ones, or few take the place of others.
func (h *Home) RecordPorts(given []Given) []error {
	errs := make([]error, len(given))
	staged := make([]mark, len(given))
	par.Do(len(given), func(i int) {
		errs[i] = h.recordPort(given[i], true, func(d *dir.Dir, text []byte) error {
			st, err := h.stage(d, text)
			staged[i] = markIn(st)
			return err
		})
	})
	synced := h.syncStaged(given, staged)
	par.Do(len(given), func(i int) {
		if staged[i] == (mark{}) || errs[i] != nil {
			return
		}
		// The record is read again: it was anybody's meanwhile, and where it is gone somebody
		// has unregistered the profile.
		errs[i] = h.recordPort(given[i], false, func(d *dir.Dir, text []byte) error {
			if synced[staged[i].dev] {
				done, err := d.PutStaged(settingsFile, text, func(st unix.Stat_t) bool { return markIn(st) == staged[i] })
				if done {
					return err
				}
			}
			return h.replace(d, text)
		})
	})
	return errs
}

// few are as many as are rather synced one by one.
const few = 16

// syncStaged syncs the file systems with more than a few of what is staged: a home can have
// others mounted in it. What could not be synced is false, and then synced one by one.
func (h *Home) syncStaged(given []Given, staged []mark) (synced map[uint64]bool) {
	some := map[uint64]int{}
	for i := range staged {
		if staged[i] != (mark{}) {
			some[staged[i].dev]++
		}
	}
	synced = map[uint64]bool{}
	for i := range staged {
		if dev := staged[i].dev; some[dev] > few {
			some[dev] = 0
			if d, err := h.open(given[i].Name); err == nil {
				synced[dev] = d.SyncAll() == nil
				d.Close()
			}
		}
	}
	return synced
}

// recordPort writes down one port: put has the new text of a record that is there, and first
// tells whether to make one.
func (h *Home) recordPort(g Given, first bool, put func(d *dir.Dir, text []byte) error) error {
	d, err := h.open(g.Name)
	if err != nil {
		return err
	}
	defer d.Close()
	h.alone(d)
	var there bool
	err = h.withRecord(d, settingsFile, func(text []byte, _ Settings) error {
		there = true
		o, err := parseObject(text)
		if err == nil {
			text, err = o.set("derived_port", g.Port)
		}
		if err == nil {
			err = put(d, text)
		}
		return err
	})
	if err != nil || there {
		return err
	}
	if !first {
		return d.Unstage(settingsFile)
	}
	text, err := encode(Settings{DerivedPort: g.Port}, nil)
	if err == nil {
		err = d.ReplaceLater(settingsFile, 0o600, h.UID, h.GID, text)
	}
	return err
}
