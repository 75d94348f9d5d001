//go:build linux

package slot

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/script"
)

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

// leaveGrace is what a script has to leave root behind, which is the first that it does.
const leaveGrace = time.Second

// endRoots ends what supervisors are running as root, by files that were not ours: a
// script that has not left root behind soon never does.
func endRoots(supervisors []proc.Process) {
	roots := proc.Find(func(p *proc.Process) bool {
		return p.UID() == 0 && slices.ContainsFunc(supervisors, func(s proc.Process) bool { return p.Parent() == s.PID })
	})
	defer proc.Release(roots)
	for limit := time.Now().Add(leaveGrace); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if roots = slices.DeleteFunc(roots, func(p proc.Process) bool { return p.UID() != 0 && p.Forget() }); len(roots) == 0 {
			return
		}
	}
	for _, p := range roots {
		_ = p.Signal(unix.SIGKILL)
	}
	proc.AwaitEnds(roots, time.Now().Add(killGrace))
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
