package slot

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/s6"
)

// killGrace is what a killed gateway and its logger get to be gone: a finish
// script has 5 s (timeout-finish in servicedir's manual page).
const killGrace = 7 * time.Second

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

// A Retired says what became of one slot.
type Retired struct {
	Profile string
	Found   bool   // there was a slot
	Killed  string // what did not go by itself and was killed, "" for nothing
	Err     error
}

// Retire removes the slots of profiles: each gateway is brought down, leaves
// the scan directory, s6-svscan drops it, and when its two supervisors and its
// logger have exited the directory goes. Past timeout (0: never) what still
// runs is killed. While a slot is in hand its name stays taken, so that the
// same gateway cannot be started anew beside its old self.
//
// The order is not free. s6-svscan reaps only supervisors whose directory has
// left the scan directory: asked before, it leaves them, and the directory's
// removal leaves them running on nothing.
func (s *Scan) Retire(profiles []string, timeout time.Duration) []Retired {
	// In order, so that two of us with the same profiles cannot wait for
	// each other.
	profiles = slices.Compact(slices.Sorted(slices.Values(profiles)))
	var results []Retired
	for some := range slices.Chunk(profiles, batch()) {
		results = append(results, s.retire(some, Deadline(timeout))...)
	}
	return results
}

// Deadline returns the time that is timeout from now, the zero time for 0.
func Deadline(timeout time.Duration) time.Time {
	if timeout == 0 {
		return time.Time{}
	}
	return time.Now().Add(timeout)
}

func (s *Scan) retire(profiles []string, deadline time.Time) []Retired {
	var all []*retiree
	for _, name := range profiles {
		h, err := s.Hold(name, deadline)
		r := &retiree{hold: h, name: name, err: err}
		if err == nil {
			defer h.Release()
			r.at = s.Service(name)
			r.found, r.err = s.Exists(name)
		}
		all = append(all, r)
	}
	each := func(step func(*retiree, time.Time)) {
		for _, r := range all {
			if r.err == nil && r.found {
				step(r, deadline)
			}
		}
	}
	each((*retiree).askDown)
	each((*retiree).awaitDown)
	if slices.ContainsFunc(all, func(r *retiree) bool { return r.killed != "" }) {
		deadline = later(deadline)
	}
	each((*retiree).withdraw)
	s.reap(all, deadline)
	each((*retiree).awaitGone)
	each((*retiree).remove)

	results := make([]Retired, len(all))
	for i, r := range all {
		results[i] = Retired{r.name, r.found, r.killed, r.err}
	}
	return results
}

// later gives what comes after a kill its time, where deadline has passed.
func later(deadline time.Time) time.Time {
	if grace := time.Now().Add(killGrace); !deadline.IsZero() && deadline.Before(grace) {
		return grace
	}
	return deadline
}

// reap has s6-svscan drop what has left the scan directory, once for all. If
// that fails they come back, up if they were: a gateway that is down and of
// which nothing is to be seen any more would be the worst outcome.
func (s *Scan) reap(all []*retiree, deadline time.Time) {
	left := slices.DeleteFunc(slices.Clone(all), func(r *retiree) bool { return r.err != nil || !r.found })
	if len(left) == 0 {
		return
	}
	err := s.Reap(deadline)
	for _, r := range left {
		r.dropped(err)
		if r.err != nil {
			r.restore()
		}
	}
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
}

// askDown tells the gateway to stop, if somebody supervises it.
func (r *retiree) askDown(time.Time) {
	st, err := r.at.Status(r.hold.scan.Programs)
	if err != nil || !st.Supervised {
		r.err = err
		return
	}
	r.wanted = st.WantedUp
	r.err = r.at.Control("d")
	if fail.CodeOf(r.err) == fail.Absent {
		r.err = nil // it died since
	}
}

// awaitDown waits until neither run nor finish is running, and kills at
// deadline.
func (r *retiree) awaitDown(deadline time.Time) {
	down := func(st *s6.Status) bool {
		// The pid of a status that nobody keeps may be another's by now.
		if st.Up() && st.Supervised || st.Orphaned() {
			r.pid = st.PID
		}
		return !st.Supervised || st.Down()
	}
	r.err = r.at.Wait(r.hold.scan.Programs, deadline, down)
	if errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.killed = "the gateway"
		_ = r.at.Control("k")
		r.err = r.at.Wait(r.hold.scan.Programs, time.Now().Add(killGrace), down)
	}
	if errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.err = fail.Errorf(fail.Timeout, "profile %s: its gateway (pid %d) is still there after SIGKILL", r.name, r.pid)
	}
	if r.err == nil && r.pid > 1 && !groupEnds(r.pid) && unix.Kill(-r.pid, unix.SIGKILL) == nil && r.killed == "" {
		r.killed = "what the gateway left running"
	}
}

// groupEnds tells whether the process group of a gateway that has ended ends as
// well, by itself and soon. s6-supervise makes each gateway a session leader, so
// the group has its pid, which the kernel gives to nobody else while a process
// is in the group. What stays there would run on for ever, with the logger's
// pipe open. The kernel has nothing to wait on for a group, so we look.
func groupEnds(pid int) bool {
	const soon, interval = 500 * time.Millisecond, 10 * time.Millisecond
	for range soon / interval {
		if !s6.GroupAlive(pid) {
			return true
		}
		time.Sleep(interval)
	}
	return false
}

// withdraw takes the slot out of the scan directory. Where it went, nobody
// but us can reach it.
func (r *retiree) withdraw(time.Time) {
	if r.err = r.hold.scan.dir.Rename(r.at.Name, r.hold.dir, work); r.err == nil {
		r.at = s6.Service{In: r.hold.dir, Name: work}
	}
}

// leave has s6-svscan drop this one alone.
func (r *retiree) leave(deadline time.Time) {
	deadline = later(deadline)
	r.dropped(r.hold.scan.Reap(deadline))
}

// dropped takes what s6-svscanctl answered. Where no s6-svscan lives to drop
// anything, its supervisors take their leave from us.
func (r *retiree) dropped(err error) {
	if err != nil && r.hold.scan.Alive() {
		r.err = err
	} else if err != nil {
		r.dismiss()
	}
}

// dismiss has the supervisors exit without s6-svscan. Where they are gone, so
// much the better.
func (r *retiree) dismiss() {
	_ = r.at.Control("dx")
	_ = r.at.Log().Control("dx")
}

// restore undoes withdraw and askDown.
func (r *retiree) restore() {
	if r.hold.publish() != nil {
		return // somebody put a slot there by hand; the next run finishes ours
	}
	r.at = r.hold.scan.Service(r.name)
	if r.wanted {
		_ = r.at.Control("u")
	}
}

// awaitGone waits until both supervisors have exited. The logger's exits when
// the logger has, which ends when nobody has its pipe open for writing.
func (r *retiree) awaitGone(deadline time.Time) {
	if r.err = r.at.Gone(deadline); r.err == nil {
		r.err = r.at.Log().Gone(deadline)
	}
	if !errors.Is(r.err, os.ErrDeadlineExceeded) {
		return
	}
	r.killed = "the logger, whose pipe something held open"
	_ = r.at.Control("dkx")
	_ = r.at.Log().Control("dkx")
	again := time.Now().Add(killGrace)
	if r.err = r.at.Gone(again); r.err == nil {
		r.err = r.at.Log().Gone(again)
	}
	if errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.err = fail.Errorf(fail.Timeout, "profile %s: its supervisors are still there; the next run tries again", r.name)
	}
}

// remove deletes what is left, which nobody runs on any more.
func (r *retiree) remove(time.Time) { r.err = r.hold.dir.RemoveAll(work) }
