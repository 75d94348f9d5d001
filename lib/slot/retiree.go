//go:build linux

package slot

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/s6"
)

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
	// forged: lock, status and control FIFO may belong to any process, so the supervisors are
	// identified by their pids.
	forged      bool
	supervisors []proc.Process
}

// see records the gateway's pid, for use after the gateway is gone.
func (r *retiree) see(st *s6.Status) {
	// Without a supervisor the status is stale, and its pid may be another process's by now.
	if st.Supervised && st.Up() || st.Orphaned() {
		r.pid = st.PID
	}
}

// askDown tells the gateway to stop, if it is supervised.
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
		r.err = nil // its supervisor died since
	}
}

// awaitDown waits until neither run nor finish is running, and kills at the deadline.
func (r *retiree) awaitDown(deadline time.Time) {
	if r.err = r.wait(deadline); errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.killed = "the gateway"
		_ = r.at.Control("k")
		r.err = r.wait(time.Now().Add(KillGrace))
	}
	if errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.err = fail.Errorf(fail.Timeout, "profile %s: its gateway (pid %d) still runs after SIGKILL", r.name, r.pid)
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

// withdraw moves the slot out of the scan directory, into the hold. Only we can reach it there.
func (r *retiree) withdraw() {
	if r.err = r.hold.scan.dir.Rename(r.at.Name, r.hold.dir, work); r.err == nil {
		r.at = s6.Service{In: r.hold.dir, Name: work}
	}
}

// restore undoes withdraw and askDown after err. The worst outcome would be a gateway that is
// down and has disappeared.
func (r *retiree) restore(err error) {
	r.err = err
	if r.hold.moveIn() != nil {
		return // someone put a slot there by hand; the next run finishes ours
	}
	r.at = r.hold.scan.Service(r.name)
	if r.wanted {
		_ = r.at.Control("u")
	}
}

// dismiss has the supervisors exit without s6-svscan. It does not matter if they are gone.
func (r *retiree) dismiss() {
	r.command("dx", "dx", false)
}

// awaitReaped waits until both supervisors have exited, which they soon do if s6-svscan knows
// them. A supervisor that is still there at deadline may come from an s6-svscan that was
// killed, and the present s6-svscan cannot control it. Then we tell it to exit. The logger is
// not told to stop: it exits at the end of its pipe, when it has read everything.
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

// awaitGone waits until both supervisors have exited. The logger's exits after the logger,
// which exits when no process has its pipe open for writing.
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
	if r.err = r.gone(time.Now().Add(KillGrace)); errors.Is(r.err, os.ErrDeadlineExceeded) {
		r.err = fail.Errorf(fail.Timeout, "profile %s: its supervisors still run; the next run tries again", r.name)
	}
}

func (r *retiree) gone(deadline time.Time) error {
	if r.forged {
		if deadline.IsZero() {
			deadline = time.Now().Add(KillGrace)
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

// examine makes r's slot ours if it is not, and finds out whether the files of its supervisors
// can be trusted. If not, the supervisors are identified by their pids.
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

// runs reports whether a supervisor runs on r's slot or its logger.
func (r *retiree) runs() (bool, error) {
	if err := r.examine(); err != nil || r.forged {
		return len(r.supervisors) > 0, err
	}
	return supervised(r.at)
}

// command sends commands to r's supervisor and logs to its logger's. Supervisors whose FIFO
// may belong to any process get SIGTERM, which does the same as both commands. With kill, what
// they run gets SIGKILL.
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
	children := childrenOf(r.supervisors)
	for i := range children {
		_ = children[i].Signal(unix.SIGKILL)
	}
	proc.Release(children)
}
