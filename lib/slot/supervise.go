//go:build linux

package slot

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/s6"
)

// superviseLimit is how long a supervisor may take to appear.
const superviseLimit = 10 * time.Second

// Supervise has s6-svscan take up h's slot and returns when the supervisors of the gateway and
// of its logger are running. It fails with exit code 110 if they are not there within timeout
// (0: superviseLimit): s6-svscanctl succeeds even if s6-svscan has no room for another service.
func (h *Hold) Supervise(timeout time.Duration) error {
	timeout = cmp.Or(timeout, superviseLimit)
	if err := h.scan.Rescan(time.Now().Add(timeout)); err != nil || !h.scan.Watched() {
		return err
	}
	return h.scan.AwaitSupervised([]string{h.profile}, timeout)[0]
}

// AwaitSupervised is the second half of Supervise, for the slots of many profiles after a
// single rescan. It gives up when s6-svscan has taken up none of them for the length of
// timeout, because the total time depends on their number and on the load of the machine. It
// returns exit code 102 for a slot that disappears meanwhile, which cannot happen while we
// have its hold.
func (s *ScanDir) AwaitSupervised(names []string, timeout time.Duration) []error {
	errs := awaitEach(len(names), cmp.Or(timeout, superviseLimit), func(i int, deadline time.Time) error {
		return s.awaitSupervised(names[i], deadline)
	})
	for i, err := range errs {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			errs[i] = fail.Hint(fail.Errorf(fail.Program, "s6-svscan: did not take up %s", s.Service(names[i]).Path()),
				"read its messages: it may have reached its limit of services (s6-svscan -c), or met a dangling link")
		}
	}
	return errs
}

// awaitEach calls await for each number below n until all are decided, or until none has been
// decided for the length of timeout. For the undecided ones the error stays
// os.ErrDeadlineExceeded.
func awaitEach(n int, timeout time.Duration, await func(i int, deadline time.Time) error) []error {
	errs := make([]error, n)
	waiting := make([]int, n)
	for i := range waiting {
		waiting[i] = i
	}
	decided := func(i int, deadline time.Time) bool {
		errs[i] = await(i, deadline)
		return !errors.Is(errs[i], os.ErrDeadlineExceeded)
	}
	for len(waiting) > 0 {
		if decided(waiting[0], time.Now().Add(timeout)) {
			waiting = waiting[1:]
			continue
		}
		// Others may have had their turn first. This one may be decided by now.
		rest := slices.DeleteFunc(slices.Clone(waiting), func(i int) bool { return decided(i, time.Now()) })
		if len(rest) == len(waiting) {
			break
		}
		waiting = rest
	}
	return errs
}

// awaitSupervised waits for the supervisors of one slot.
func (s *ScanDir) awaitSupervised(name string, deadline time.Time) error {
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
		if err = cmp.Or(err, lost); err != nil {
			return err
		}
		if !there {
			return fail.Errorf(fail.Absent, "profile %s: somebody else unregistered it", name)
		}
	}
	return nil
}

// Undo removes h's slot again after Supervise failed. It asks s6-svscan to drop the slot, but
// does not rely on the answer.
func (h *Hold) Undo() error {
	r := &retiree{hold: h, name: h.profile, found: true, at: h.scan.Service(h.profile)}
	if r.withdraw(); r.err != nil {
		return r.err
	}
	h.scan.drop(retirees{r}, time.Now().Add(dropGrace), func(r *retiree, _ error) { r.dismiss() })
	return r.err
}

// supervised reports whether a supervisor runs on service or on its logger.
func supervised(service s6.Service) (bool, error) {
	for _, s := range []s6.Service{service, service.Log()} {
		if runs, err := s.Supervised(); runs || err != nil {
			return runs, err
		}
	}
	return false, nil
}
