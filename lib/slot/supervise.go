//go:build linux

package slot

import (
	"errors"
	"os"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/s6"
)

// Exists tells whether there is anything by the name of h's slot.
func (h *Hold) Exists() (bool, error) { return h.scan.Exists(h.profile) }

// superviseLimit is how long a supervisor may take to come.
const superviseLimit = 10 * time.Second

// Supervise has s6-svscan take up h's slot and returns when supervisors of the
// gateway and of its logger are there, at deadline at the latest. Exit code
// 110 where they do not come: s6-svscanctl succeeds also when s6-svscan has no
// room for another service.
func (h *Hold) Supervise(deadline time.Time) error {
	if deadline.IsZero() {
		deadline = time.Now().Add(superviseLimit)
	}
	if err := h.scan.Rescan(deadline); err != nil || !h.scan.Watched() {
		return err
	}
	return h.scan.AwaitSupervised(h.profile, deadline)
}

// AwaitSupervised is the second half of Supervise, for who has had s6-svscan
// rescan. Exit code 102 where the slot goes meanwhile, which it cannot while
// its hold is ours.
func (s *Scan) AwaitSupervised(name string, deadline time.Time) error {
	if deadline.IsZero() {
		// Without a limit for the gateway there is still one for s6-svscan.
		deadline = time.Now().Add(superviseLimit)
	}
	service := s.Service(name)
	for _, at := range []s6.Service{service, service.Log()} {
		there, lost := true, error(nil)
		err := at.Wait(s.Programs, deadline, func(st *s6.Status) bool {
			if st.Supervised && st.Known {
				return true
			}
			there, lost = s.Exists(name)
			return !there
		})
		if err == nil {
			err = lost
		}
		if err == nil && !there {
			return fail.Errorf(fail.Absent, "profile %s: its slot is gone again: somebody has unregistered it", name)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fail.Errorf(fail.Program, "s6-svscan: it has not taken up %s; its messages say why: it may have no room (s6-svscan -c), or there is a dangling link", at.Path())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Undo removes h's slot again, which Supervise failed on. It asks s6-svscan to
// drop it, but does not rely on the answer.
func (h *Hold) Undo() error {
	r := &retiree{hold: h, name: h.profile, found: true, at: h.scan.Service(h.profile)}
	if r.withdraw(); r.err != nil {
		return r.err
	}
	h.scan.drop(retirees{r}, time.Now().Add(dropGrace), func(r *retiree, _ error) { r.dismiss() })
	return r.err
}
