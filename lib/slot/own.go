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

// Slots that others made, as Hermes' own service manager does, belong to the
// account: it can put a link where s6-supervise writes, or a script where root
// executes one. This file says what the directories and FIFOs of a slot have to be,
// and makes them so below supervisors that run. Those need the directory that they
// are in, their lock and the FIFO that they read, by the names they have.
//
// A descriptor that was opened before a chown outlives it. That of a directory is worth
// nothing, since the kernel asks at each call who may make and remove names there. With
// that of a file one can write on: so files do not change hands, they are replaced.

const (
	slotMode    = 0o755
	eventMode   = 0o3730
	controlMode = 0o660
	// untidyMode is that of a directory which is ours again, and may still hold what
	// somebody else put there. A run that is killed leaves it to the next.
	untidyMode = 0o711
)

// A part is what s6-supervise would otherwise make for root alone, or is in: it keeps
// these as it finds them (control_init in s6-supervise.c). A member of the account's
// group can query and command the service, and do nothing else.
type part struct {
	name   string
	mode   uint32
	shared bool // with the account's group
}

// parts are those of a slot and of its logger, each after the directory it is in.
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

// is tells whether st is as p has to be. A directory in one with the set-group-ID bit
// has that too.
func (p *part) is(st *unix.Stat_t, group int) bool {
	return (st.Mode^p.mode)&^unix.S_ISGID == 0 && int(st.Uid) == euid() && (!p.shared || group < 0 || int(st.Gid) == group)
}

// proper tells whether all parts of slot are there and as they have to be.
func proper(slot *dir.Dir, group int) bool {
	return ours(slot) && !slices.ContainsFunc(parts[:], func(p part) bool {
		st, err := slot.Stat(p.name)
		return err != nil || !p.is(&st, group)
	})
}

// isOurs tells whether nobody else can write in the directory p, and whether nothing is
// left there by those who could.
func (p *part) isOurs(st *unix.Stat_t) bool {
	mode := st.Mode & 0o777
	return st.Mode&unix.S_IFMT == unix.S_IFDIR && int(st.Uid) == euid() && mode != untidyMode && (mode&0o022 == 0 || mode == p.mode&0o777)
}

// isAbsent tells whether err says that there is no such name, also because what should
// be a directory on the way there is none.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// ours is isOurs for all directories of slot that there are, and tells whether the
// files that supervisors keep there are nobody else's.
func ours(slot *dir.Dir) bool {
	for _, name := range kept {
		// Whoever runs s6-svscan with umask 0 has files that others can write: to make
		// those slots anew would not change that.
		if st, err := slot.Stat(name); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != euid() || st.Nlink != 1) {
			return false
		}
	}
	return !slices.ContainsFunc(parts[:], func(p part) bool {
		st, err := slot.Stat(p.name)
		return p.isDir() && !isAbsent(err) && (err != nil || !p.isOurs(&st))
	})
}

// kept are the files by which a supervisor is known, and that of its deaths.
var kept = [...]string{
	"supervise/lock", "supervise/status", "supervise/death_tally",
	"log/supervise/lock", "log/supervise/status", "log/supervise/death_tally",
}

// own makes the directories of slot ours, those outside first: below one that is ours,
// names stay what they are. What is no directory it leaves for tidy. It returns the
// supervisors that work there, and tells whether the files by which they are known and
// spoken to are theirs.
func own(slot *dir.Dir) (alive []proc.Process, sound bool, err error) {
	sound, logs := true, false
	for _, p := range parts {
		st, err := slot.Stat(p.name)
		logs = logs || p.name == script.LogDir && err == nil
		switch {
		case err != nil && !isAbsent(err):
			return nil, false, err
		case err != nil && !logs && strings.HasPrefix(p.name, script.LogDir): // a slot without
		case err != nil, st.Mode&unix.S_IFMT != p.mode&unix.S_IFMT:
			sound = false
		case p.isDir() && !p.isOurs(&st):
			d, err := slot.Dir(p.name)
			if errors.Is(err, unix.ELOOP) || isAbsent(err) { // below what is a link
				continue
			}
			if err == nil {
				// Then the lists: while it is theirs, they can make new ones.
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

// theirs tells whether the files in service below slot with which its supervisor, one
// of alive, is known and spoken to are its own.
func theirs(slot *dir.Dir, service string, alive []proc.Process) bool {
	for _, name := range kept {
		if path.Dir(path.Dir(name)) != service {
			continue
		}
		// Whoever may open the lock for writing can take it.
		if st, err := slot.Stat(name); err != nil || !isSafe(&st) {
			return false
		}
	}
	control, err := slot.Stat(service + "/supervise/control")
	if err != nil || control.Nlink != 1 { // of another name, it could be the FIFO of s6-svscan
		return false
	}
	at, err := slot.Stat(service)
	return err == nil && !slices.ContainsFunc(alive, func(p proc.Process) bool { return p.WorksIn(&at) && !p.HasOpen(&control) })
}

// isSafe tells whether a file is plain and ours, and nobody else may write it, by this
// name or another.
func isSafe(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o022 == 0 && int(st.Uid) == euid() && st.Nlink == 1
}

// supervisors are the s6-supervise processes that work in slot and in its log: known
// from the kernel, where their lock could be anybody's.
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

// childrenOf are the processes that supervisors have started.
func childrenOf(supervisors []proc.Process) []proc.Process {
	return proc.Find(func(p *proc.Process) bool {
		return slices.ContainsFunc(supervisors, func(s proc.Process) bool { return p.Parent() == s.PID })
	})
}

// leaveGrace is what a script has to leave root behind, which is the first that it does.
const leaveGrace = time.Second

// endRoots ends what supervisors are running as root, by files that were not ours: a
// script that has not left root behind soon never does.
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

// anybodys tells whether a script of slot could be another's than ours, and root have
// been running it.
func anybodys(slot *dir.Dir) bool {
	return slices.ContainsFunc(scripts[:], func(name string) bool {
		st, err := slot.Stat(name)
		return err == nil && !isSafe(&st)
	})
}
