//go:build linux

package slot

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/par"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

// The steps of a retirement get at least these times, whatever is left of the timeout, which
// is for the gateway. dropGrace is for s6-svscan to drop a slot and for supervisors to exit.
// KillGrace is for after a kill, when a finish script that is not ours may still have 5 s to
// run (timeout-finish in servicedir's manual page).
const (
	dropGrace = 2 * time.Second
	KillGrace = 7 * time.Second
)

// batch returns how many slots Retire can handle at a time. Each takes a descriptor, and some
// are kept for other uses.
func batch() int {
	const rest = 24
	return max(par.Descriptors()-rest, 1)
}

// Deadline returns the time that is timeout from now, the zero time for 0.
func Deadline(timeout time.Duration) time.Time {
	if timeout == 0 {
		return time.Time{}
	}
	return time.Now().Add(timeout)
}

// atLeast returns deadline, or the time that is grace from now if that is later.
func atLeast(deadline time.Time, grace time.Duration) time.Time {
	if t := time.Now().Add(grace); !deadline.IsZero() && deadline.Before(t) {
		return t
	}
	return deadline
}

// A Retired says what became of one slot.
type Retired struct {
	Profile string
	Found   bool   // there was a slot
	Killed  string // what did not end by itself and was killed, "" for nothing
	Err     error
}

// Retire removes the slots of profiles. It brings each gateway down and moves its slot out of
// the scan directory, s6-svscan drops the slot, and after its two supervisors and its logger
// have exited the directory is removed. A gateway that runs for longer than timeout (0: no
// limit) is killed. Meanwhile the slot's name stays taken, so that the same gateway cannot be
// started anew beside its old process. Before the name becomes free, gone is called for each
// profile that no longer has a slot.
//
// The order matters. s6-svscan reaps only supervisors whose directory has left the scan
// directory. If asked earlier it leaves them, and after the directory's removal they would run
// on nothing.
func (s *ScanDir) Retire(profiles []string, timeout time.Duration, gone func(name string) error) []Retired {
	// In order, so that two processes with the same profiles cannot wait for each other.
	profiles = slices.Compact(slices.Sorted(slices.Values(profiles)))
	par.LimitMemory(len(profiles))
	var results []Retired
	for some := range slices.Chunk(profiles, batch()) {
		results = append(results, s.retire(some, timeout, gone)...)
	}
	return results
}

func (s *ScanDir) retire(profiles []string, timeout time.Duration, gone func(string) error) []Retired {
	var all retirees
	turn := Deadline(timeout) // for our turn at each name
	for _, name := range profiles {
		h, err := s.Hold(name, turn)
		r := &retiree{hold: h, name: name, err: err, at: s.Service(name)}
		if err == nil {
			defer h.Release()
			if r.found, r.err = h.Exists(); r.found {
				if isSlot, err := h.isSlot(r.at); err == nil && !isSlot {
					r.err = notThroughLink(r.at)
				} else if err == nil {
					r.err = r.examine()
					defer func() { proc.Release(r.supervisors) }()
				}
			}
		}
		all = append(all, r)
	}
	// The wait for our turn does not count against the gateways' time.
	deadline := Deadline(timeout)
	all.each(func(r *retiree) { r.askDown() })
	all.each(func(r *retiree) { r.awaitDown(deadline) })
	s.endLeft(all, deadline)
	all.each((*retiree).withdraw)
	s.drop(all, deadline, (*retiree).restore)
	results := make([]Retired, len(all))
	for i, r := range all {
		if r.err == nil {
			r.err = gone(r.name)
		}
		results[i] = Retired{r.name, r.found, r.killed, r.err}
	}
	return results
}

// retirees are slots that are retired together.
type retirees []*retiree

// each calls step for those that exist and have not failed.
func (all retirees) each(step func(*retiree)) {
	for _, r := range all {
		if r.err == nil && r.found {
			step(r)
		}
	}
}

// drop has s6-svscan drop all withdrawn slots with one rescan, waits until nothing runs on
// them, and removes them. If s6-svscan is alive and cannot be told, failed decides.
func (s *ScanDir) drop(all retirees, deadline time.Time, failed func(*retiree, error)) {
	if !slices.ContainsFunc(all, func(r *retiree) bool { return r.err == nil && r.found }) {
		return
	}
	deadline = atLeast(deadline, dropGrace)
	err := s.Reap(deadline)
	all.each(func(r *retiree) {
		switch {
		case err == nil:
		case s.Alive():
			failed(r, err)
		default:
			r.dismiss()
		}
	})
	deadline = atLeast(deadline, dropGrace)
	reaped := time.Now().Add(dropGrace)
	all.each(func(r *retiree) { r.awaitReaped(reaped) })
	deadline = atLeast(deadline, dropGrace)
	all.each(func(r *retiree) { r.awaitGone(deadline) })
	all.each(func(r *retiree) { r.err = r.hold.dir.RemoveAll(work) })
}

// maxRounds is how often endLeft looks for processes that were started meanwhile.
const maxRounds = 50

// endLeft ends what the stopped gateways have left behind, wherever it went: every process
// with their slot in its environment. That can be a gateway whose supervisor was killed, while
// a new supervisor has started it again beside.
func (s *ScanDir) endLeft(all retirees, deadline time.Time) {
	st, err := s.dir.Stat(".")
	if err != nil || !slices.ContainsFunc(all, func(r *retiree) bool { return r.err == nil && r.found }) {
		return
	}
	if deadline.IsZero() {
		deadline = time.Now().Add(KillGrace)
	}
	deadline = atLeast(deadline, dropGrace)
	slots := map[string]bool{}
	all.each(func(r *retiree) { slots[profile.Slot(r.name)] = true })
	for range maxRounds {
		marked := s.marked(&st, func(slot string) bool { return slots[slot] })
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

// oust has the supervisors of h's slot exit and removes it, to make room for another. It
// reports whether the gateway was wanted up.
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
	h.scan.drop(all, deadline, (*retiree).restore)
	return r.wanted, r.err
}

// marked returns, by slot, the processes that have a wanted slot in s in their environment. st
// is the stat of s.
func (s *ScanDir) marked(st *unix.Stat_t, wanted func(slot string) bool) map[string][]proc.Process {
	return proc.Marked(script.SlotVariable, ScanPath(s.ScanDir), st, wanted)
}

// EndOrphan ends process pid if it was started for profile name's slot, and reports whether it
// was.
func (s *ScanDir) EndOrphan(name string, pid int, deadline time.Time) bool {
	st, err := s.dir.Stat(".")
	if err != nil {
		return false
	}
	orphans := 0
	own := profile.Slot(name)
	for _, some := range s.marked(&st, func(slot string) bool { return slot == own }) {
		for i := range some {
			if some[i].PID == pid {
				proc.End(some[i:i+1], deadline)
				orphans++
			}
		}
		proc.Release(some)
	}
	return orphans > 0
}
