//go:build linux

package slot

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/script"
)

// Slots that others made, as Hermes' own service manager does, belong to the account. The
// account can put a link where s6-supervise writes, or a script where root executes one. This
// file defines what the directories and FIFOs of a slot have to be, and repairs them under
// running supervisors. For those, their working directory, their lock and the FIFO that they
// read must keep their names.
//
// A descriptor that was opened before a chown stays usable after it. For a directory it is
// harmless, since the kernel checks at each call who may create and remove names there. For a
// file it still allows writing. So files do not change owners, they are replaced.

const (
	slotMode    = 0o755
	eventMode   = 0o3730
	controlMode = 0o660
	// untidyMode is the mode of a directory that is ours again but may still hold what another
	// user put there. A killed run leaves it for the next run.
	untidyMode = 0o711
)

// A part is a file that s6-supervise would otherwise create for root alone, or a directory
// around it. s6-supervise keeps existing ones (control_init in s6-supervise.c). Members of the
// account's group can query and command the service, and do nothing else.
type part struct {
	name   string
	mode   uint32
	shared bool // with the account's group
}

// parts are the parts of a slot and of its logger, each after its parent directory.
var parts = [...]part{
	{".", unix.S_IFDIR | slotMode, false},
	{"supervise", unix.S_IFDIR | slotMode, false},
	{"supervise/control", unix.S_IFIFO | controlMode, true},
	{"supervise/event", unix.S_IFDIR | eventMode, true},
	{"event", unix.S_IFDIR | eventMode, true},
	{"log", unix.S_IFDIR | slotMode, false},
	{"log/supervise", unix.S_IFDIR | slotMode, false},
	{"log/supervise/control", unix.S_IFIFO | controlMode, true},
	{"log/supervise/event", unix.S_IFDIR | eventMode, true},
	{"log/event", unix.S_IFDIR | eventMode, true},
}

func (p *part) isDir() bool { return p.mode&unix.S_IFMT == unix.S_IFDIR }

// is reports whether st is as p has to be. A directory below one with the set-group-ID bit has
// that bit too.
func (p *part) is(st *unix.Stat_t, group int) bool {
	return (st.Mode^p.mode)&^unix.S_ISGID == 0 && int(st.Uid) == euid() && (!p.shared || group < 0 || int(st.Gid) == group)
}

// proper reports whether all parts of slot exist and are as they have to be.
func proper(slot *dir.Dir, group int) bool {
	return ours(slot) && !slices.ContainsFunc(parts[:], func(p part) bool {
		st, err := slot.Stat(p.name)
		return err != nil || !p.is(&st, group)
	})
}

// isOurs reports whether no other user can write in the directory p, and whether nothing is
// left there by users who could.
func (p *part) isOurs(st *unix.Stat_t) bool {
	mode := st.Mode & 0o777
	return st.Mode&unix.S_IFMT == unix.S_IFDIR && int(st.Uid) == euid() && mode != untidyMode && (mode&0o022 == 0 || mode == p.mode&0o777)
}

// isAbsent reports whether err says that the name does not exist, or that a directory on the
// way to it is none.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// ours reports whether isOurs holds for all existing directories of slot, and whether the
// files that supervisors keep there are safe from other users.
func ours(slot *dir.Dir) bool {
	for _, name := range kept {
		// If s6-svscan runs with umask 0, others can write its files. Making those slots anew
		// would not change that.
		if st, err := slot.Stat(name); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != euid() || st.Nlink != 1) {
			return false
		}
	}
	return !slices.ContainsFunc(parts[:], func(p part) bool {
		st, err := slot.Stat(p.name)
		return p.isDir() && !isAbsent(err) && (err != nil || !p.isOurs(&st))
	})
}

// kept are the files that identify a supervisor, and its death tally.
var kept = [...]string{
	"supervise/lock", "supervise/status", "supervise/death_tally",
	"log/supervise/lock", "log/supervise/status", "log/supervise/death_tally",
}

// own makes the directories of slot ours, outer ones first: below a directory that is ours,
// names stay what they are. It leaves what is not a directory for tidy. It returns the
// supervisors that work there. sound reports whether the files that identify and control them
// are their own.
func own(slot *dir.Dir) (alive []proc.Process, sound bool, err error) {
	sound, logs := true, false
	for _, p := range parts {
		st, err := slot.Stat(p.name)
		logs = logs || p.name == script.LogDir && err == nil
		switch {
		case err != nil && !isAbsent(err):
			return nil, false, err
		case err != nil && !logs && strings.HasPrefix(p.name, script.LogDir): // a slot without a logger
		case err != nil, st.Mode&unix.S_IFMT != p.mode&unix.S_IFMT:
			sound = false
		case p.isDir() && !p.isOurs(&st):
			d, err := slot.Dir(p.name)
			if errors.Is(err, unix.ELOOP) || isAbsent(err) { // below a link
				continue
			}
			if err == nil {
				// ACLs go last: while the directory is not ours, its owner can make new ones.
				err = cmp.Or(d.Own(euid(), -1, untidyMode), d.DropLists())
				d.Close()
			}
			if err != nil {
				return nil, false, err
			}
		}
	}
	alive = supervisors(slot)
	return alive, sound && theirs(slot, ".", alive) && (!logs || theirs(slot, script.LogDir, alive)), nil
}

// theirs reports whether the files in service below slot that identify and control its
// supervisor, one of alive, are that supervisor's own.
func theirs(slot *dir.Dir, service string, alive []proc.Process) bool {
	for _, name := range kept {
		if path.Dir(path.Dir(name)) != service {
			continue
		}
		// A user who may open the lock file for writing can take the lock.
		if st, err := slot.Stat(name); err != nil || !isSafe(&st) {
			return false
		}
	}
	control, err := slot.Stat(service + "/supervise/control")
	if err != nil || control.Nlink != 1 { // with a second name it could be the FIFO of s6-svscan
		return false
	}
	at, err := slot.Stat(service)
	return err == nil && !slices.ContainsFunc(alive, func(p proc.Process) bool { return p.WorksIn(&at) && !p.HasOpen(&control) })
}

// isSafe reports whether a file is regular and ours, and no other user may write it, by this
// name or another one.
func isSafe(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o022 == 0 && int(st.Uid) == euid() && st.Nlink == 1
}

// supervisors returns the s6-supervise processes that work in slot and in its log. The kernel
// identifies them, because another process could hold their lock.
func supervisors(slot *dir.Dir) []proc.Process {
	var at []unix.Stat_t
	for _, name := range []string{".", script.LogDir} {
		if st, err := slot.Stat(name); err == nil {
			at = append(at, st)
		}
	}
	return proc.Find(func(p *proc.Process) bool {
		return p.UID() == euid() && p.Name() == "s6-supervise" && slices.ContainsFunc(at, func(st unix.Stat_t) bool { return p.WorksIn(&st) })
	})
}

// childrenOf returns the processes that supervisors have started.
func childrenOf(supervisors []proc.Process) []proc.Process {
	return proc.Find(func(p *proc.Process) bool {
		return slices.ContainsFunc(supervisors, func(s proc.Process) bool { return p.Parent() == s.PID })
	})
}

// leaveGrace is the time in which a script must drop root, which is the first thing it does.
const leaveGrace = time.Second

// endRoots ends the processes that supervisors run as root from files that were not ours. A
// script that has not dropped root soon never will.
func endRoots(supervisors []proc.Process) {
	hasLeft := func(p proc.Process) bool { return p.UID() != 0 && p.Forget() }
	roots := slices.DeleteFunc(childrenOf(supervisors), hasLeft)
	defer proc.Release(roots)
	for limit := time.Now().Add(leaveGrace); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if roots = slices.DeleteFunc(roots, hasLeft); len(roots) == 0 {
			return
		}
	}
	for _, p := range roots {
		_ = p.Signal(unix.SIGKILL)
	}
	proc.AwaitEnds(roots, time.Now().Add(KillGrace))
	for _, p := range roots {
		proc.EndGroup(p.PID)
	}
}

// anybodys reports whether another user may have written a script of slot that root has been
// running.
func anybodys(slot *dir.Dir) bool {
	return slices.ContainsFunc(scripts[:], func(name string) bool {
		st, err := slot.Stat(name)
		return err == nil && !isSafe(&st)
	})
}
