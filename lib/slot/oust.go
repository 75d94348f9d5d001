//go:build linux

package slot

import (
	"slices"
	"time"

	"hermes-s6/lib/proc"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

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
