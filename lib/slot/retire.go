//go:build linux

package slot

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/s6"
)

// What the steps of a retirement get at the least, whatever is left of the
// timeout, which is the gateway's: s6-svscan to drop a slot and supervisors to
// exit, and after a kill, when a finish script that is not of ours may still have 5 s to
// run (timeout-finish in servicedir's manual page).
const (
	dropGrace = 2 * time.Second
	killGrace = 7 * time.Second
)

// batch returns how many slots Retire can have in hand at a time: each takes a
// descriptor, and some are for the rest.
func batch() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1
	}
	const rest = 24
	return int(max(min(limit.Cur, 1<<20), rest+1) - rest)
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
	Killed  string // what did not go by itself and was killed, "" for nothing
	Err     error
}

// Retire removes the slots of profiles: each gateway is brought down, leaves
// the scan directory, s6-svscan drops it, and when its two supervisors and its
// logger have exited the directory goes. A gateway that runs for longer than
// timeout (0: no limit) is killed. While a slot is in hand its name stays taken,
// so that the same gateway cannot be started anew beside its old self; gone is
// called at the end of that, for each profile that has no slot any more.
//
// The order is not free. s6-svscan reaps only supervisors whose directory has
// left the scan directory: asked before, it leaves them, and the directory's
// removal leaves them running on nothing.
func (s *ScanDir) Retire(profiles []string, timeout time.Duration, gone func(name string) error) []Retired {
	// In order, so that two of us with the same profiles cannot wait for
	// each other.
	profiles = slices.Compact(slices.Sorted(slices.Values(profiles)))
	var results []Retired
	for some := range slices.Chunk(profiles, batch()) {
		results = append(results, s.retire(some, timeout, gone)...)
	}
	return results
}

func (s *ScanDir) retire(profiles []string, timeout time.Duration, gone func(string) error) []Retired {
	var all retirees
	holds := Deadline(timeout)
	for _, name := range profiles {
		h, err := s.Hold(name, holds)
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
	// Waiting for holds was not the gateways' time.
	deadline := Deadline(timeout)
	all.each(func(r *retiree) { r.askDown() })
	all.each(func(r *retiree) { r.awaitDown(deadline) })
	s.endLeft(all, deadline)
	all.each((*retiree).withdraw)
	s.drop(all, deadline, func(r *retiree, err error) {
		r.err = err
		r.restore()
	})
	results := make([]Retired, len(all))
	for i, r := range all {
		if r.err == nil {
			r.err = gone(r.name)
		}
		results[i] = Retired{r.name, r.found, r.killed, r.err}
	}
	return results
}

// retirees are slots on their way out together.
type retirees []*retiree

// each takes a step with those that are still on their way.
func (all retirees) each(step func(*retiree)) {
	for _, r := range all {
		if r.err == nil && r.found {
			step(r)
		}
	}
}

// drop has s6-svscan drop what has been withdrawn, once for all, waits until
// nobody runs on it, and removes it. Where s6-svscan lives and cannot be told,
// failed decides.
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

// A retiree is a slot on its way out.
type retiree struct {
	hold   *Hold
	name   string
	found  bool
	at     s6.Service // in the scan directory, then in the hold
	pid    int        // the gateway's, as last seen
	wanted bool       // it was wanted up
	killed string
	err    error
	// forged: lock, status and control FIFO can be anybody's, and the supervisors are
	// known by their pids.
	forged      bool
	supervisors []proc.Process
}

// see takes note of the gateway's pid, for when it is gone.
func (r *retiree) see(st *s6.Status) {
	// The pid of a status that nobody keeps may be another's by now.
	if st.Supervised && st.Up() || st.Orphaned() {
		r.pid = st.PID
	}
}

// askDown tells the gateway to stop, if somebody supervises it.
func (r *retiree) askDown() {
	isSlot, err := r.hold.isSlot(r.at)
	if err != nil || !isSlot || r.forged {
		r.err = err
		return
	}
	st, err := r.at.Status(r.hold.scan.Programs)
	if err != nil {
		r.err = err
		return
	}
	if r.see(&st); !st.Supervised {
		return
	}
	r.wanted = st.WantedUp
	if r.err = r.at.Control("d"); fail.CodeOf(r.err) == fail.Absent {
		r.err = nil // it died since
	}
}

// awaitDown waits until neither run nor finish is running, and kills at
// deadline.
func (r *retiree) awaitDown(deadline time.Time) {
	if r.err = r.wait(deadline); errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.killed = "the gateway"
		_ = r.at.Control("k")
		r.err = r.wait(time.Now().Add(killGrace))
	}
	if errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.err = fail.Errorf(fail.Timeout, "profile %s: its gateway (pid %d) is still there after SIGKILL", r.name, r.pid)
	}
	if r.err == nil && proc.EndGroup(r.pid) && r.killed == "" {
		r.killed = "what the gateway left running"
	}
}

// wait waits until neither run nor finish is running.
func (r *retiree) wait(deadline time.Time) error {
	if isSlot, err := r.hold.isSlot(r.at); !isSlot || r.forged {
		return err
	}
	return r.at.Wait(r.hold.scan.Programs, deadline, func(st *s6.Status) bool {
		r.see(st)
		return !st.Supervised || st.Down()
	})
}

// withdraw takes the slot out of the scan directory. Where it went, nobody
// but us can reach it.
func (r *retiree) withdraw() {
	if r.err = r.hold.scan.dir.Rename(r.at.Name, r.hold.dir, work); r.err == nil {
		r.at = s6.Service{In: r.hold.dir, Name: work}
	}
}

// restore undoes withdraw and askDown: a gateway that is down and of which
// nothing is to be seen any more would be the worst outcome.
func (r *retiree) restore() {
	if r.hold.moveIn() != nil {
		return // somebody put a slot there by hand; the next run finishes ours
	}
	r.at = r.hold.scan.Service(r.name)
	if r.wanted {
		_ = r.at.Control("u")
	}
}

// dismiss has the supervisors exit without s6-svscan. Where they are gone, so
// much the better.
func (r *retiree) dismiss() {
	r.command("dx", "dx", false)
}

// awaitReaped waits until both supervisors have exited, which they do soon where
// s6-svscan knows them. One that is still there at deadline may be left from an
// s6-svscan that was killed, over which the one of today has no say: then it is
// told to exit by us. The logger is not told to stop: it ends at the end of its
// pipe, when it has read all.
func (r *retiree) awaitReaped(deadline time.Time) {
	if isSlot, err := r.hold.isSlot(r.at); !isSlot {
		r.err = err
		return
	}
	if r.err = r.gone(deadline); errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.command("dx", "x", false)
		r.err = nil
	}
}

// awaitGone waits until both supervisors have exited. The logger's exits when
// the logger has, which ends when nobody has its pipe open for writing.
func (r *retiree) awaitGone(deadline time.Time) {
	if isSlot, err := r.hold.isSlot(r.at); !isSlot {
		r.err = err
		return
	}
	if r.err = r.gone(deadline); !errors.Is(r.err, os.ErrDeadlineExceeded) {
		return
	}
	r.killed = "the logger, whose pipe something held open"
	r.command("dkx", "dkx", true)
	if r.err = r.gone(time.Now().Add(killGrace)); errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.err = fail.Errorf(fail.Timeout, "profile %s: its supervisors are still there; the next run tries again", r.name)
	}
}

func (r *retiree) gone(deadline time.Time) error {
	if r.forged {
		if deadline.IsZero() {
			deadline = time.Now().Add(killGrace)
		}
		if !proc.AwaitEnds(r.supervisors, deadline) {
			return os.ErrDeadlineExceeded
		}
		return nil
	}
	if err := r.at.Gone(deadline); err != nil {
		return err
	}
	return r.at.Log().Gone(deadline)
}
