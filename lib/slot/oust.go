//go:build linux

package slot

import (
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/proc"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

// ScanPath returns the path of a scan directory that counts in script.SlotVariable: one for
// all the names that it may be called by.
func ScanPath(scanDir string) string {
	path, err := filepath.Abs(scanDir)
	if err != nil {
		return scanDir
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// maxRounds is how often endLeft looks for what was started meanwhile.
const maxRounds = 50

// endLeft ends what the gateways that are down have left, wherever it went: what has
// their slot in its environment. That can be a gateway whose supervisor was killed, and
// beside which another has started it anew.
func (s *ScanDir) endLeft(all retirees, deadline time.Time) {
	st, err := s.dir.Stat(".")
	if err != nil || !slices.ContainsFunc(all, func(r *retiree) bool { return r.err == nil && r.found }) {
		return
	}
	if deadline.IsZero() {
		deadline = time.Now().Add(killGrace)
	}
	deadline = atLeast(deadline, dropGrace)
	for range maxRounds {
		marked := proc.Marked(script.SlotVariable, ScanPath(s.ScanDir), &st)
		var left []proc.Process
		all.each(func(r *retiree) {
			some := marked[profile.Slot(r.name)]
			if left = append(left, some...); len(some) > 0 && r.killed == "" {
				r.killed = "what the gateway left running"
			}
		})
		if len(left) > 0 {
			proc.End(left, deadline)
		}
		for _, some := range marked {
			proc.Release(some)
		}
		if len(left) == 0 {
			return
		}
	}
}

// examine makes r's slot ours where it is not, and finds out whether the files of its
// supervisors can be believed. Where not, they are known by their pids.
func (r *retiree) examine() error {
	slot, err := r.at.In.Dir(r.at.Name)
	if err != nil {
		return err
	}
	defer slot.Close()
	if ours(slot) {
		return nil
	}
	var sound bool
	r.supervisors, sound, err = own(slot)
	r.forged = err == nil && !sound
	return err
}

// runs tells whether a supervisor runs on r's slot or its logger.
func (r *retiree) runs() (bool, error) {
	if err := r.examine(); err != nil || r.forged {
		return len(r.supervisors) > 0, err
	}
	return supervised(r.at)
}

// command sends commands to r's supervisor and logs to its logger's. Supervisors whose
// FIFO could be anybody's get SIGTERM, which is both, with SIGKILL for what they run
// if that is among the commands.
func (r *retiree) command(commands, logs string, kill bool) {
	if !r.forged {
		_ = r.at.Control(commands)
		_ = r.at.Log().Control(logs)
		return
	}
	for i := range r.supervisors {
		_ = r.supervisors[i].Signal(unix.SIGTERM)
	}
	if !kill {
		return
	}
	children := proc.Find(func(p *proc.Process) bool { return r.isParent(p.Parent()) })
	for i := range children {
		_ = children[i].Signal(unix.SIGKILL)
	}
	proc.Release(children)
}

func (r *retiree) isParent(pid int) bool {
	for i := range r.supervisors {
		if r.supervisors[i].PID == pid {
			return true
		}
	}
	return false
}

// oust has the supervisors of h's slot exit and removes it, for one in its place. It
// tells whether the gateway was wanted up.
func (h *Hold) oust() (wanted bool, err error) {
	r := &retiree{hold: h, name: h.profile, found: true, wanted: true, at: s6.Service{In: h.scan.dir, Name: profile.Slot(h.profile)}}
	defer func() { proc.Release(r.supervisors) }()
	deadline := atLeast(h.deadline, dropGrace)
	all := retirees{r}
	if r.err = r.examine(); !r.forged {
		all.each((*retiree).askDown)
		all.each(func(r *retiree) { r.awaitDown(deadline) })
	}
	h.scan.endLeft(all, deadline)
	all.each((*retiree).withdraw)
	h.scan.drop(all, deadline, func(r *retiree, err error) {
		r.err = err
		r.restore()
	})
	return r.wanted, r.err
}
