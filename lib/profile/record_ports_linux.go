package profile

import (
	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/par"
)

// A Given is a profile with a directory, and the port that it was given.
type Given struct {
	Name string
	Port int
}

// RecordPorts records the ports that were given, and keeps every other byte of existing
// records. It returns one error for each. For many records there is a single sync, because a
// disk may take milliseconds for each one while a container boots:
//
//   - A new record is not synced. After a power cut it is missing, or empty, which counts as
//     missing. The gateway that had the port is then down, too, and the same claims find
//     the same port again.
//   - An existing record holds what was asked for and must never be truncated. So all
//     replacements are written beside the records, then the file system is synced, and only
//     then is the first one renamed. After a power cut each record is the old or the new
//     one.
//
// A sync also writes out what others wrote to the volume and can take seconds. There is none
// if all records are new, or if only a few are replaced.
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
		// Read the record again: another process may have changed it meanwhile, or removed it
		// because the profile was unregistered.
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

// few is the number of records up to which each one is synced by itself.
const few = 16

// syncStaged syncs the file systems that hold more than a few of the staged records: other
// file systems can be mounted inside a home. A file system that could not be synced is false,
// and its records are then synced one by one.
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

// recordPort records one port. put receives the new text of an existing record. first says
// whether a missing record is made.
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
