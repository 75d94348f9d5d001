//go:build linux

package gateway

import (
	"errors"
	"os"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/fence"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/slot"
)

// This file is about gateways that run in another container, or without a supervisor, while
// ours stands by.

// lookEvery is how often a fence is checked in a longer wait. When it is released, the kernel
// notifies only processes that wait to take it.
const lookEvery = 20 * time.Millisecond

// fence returns the state of j's fence, not held if there is none.
func (j *job) fence(pid int) (s fence.State) {
	if j.m.Home != nil {
		at, path := j.m.Home.At(j.Name, fence.File)
		s, _ = fence.Look(at, path, pid)
	}
	return s
}

// awaitFence waits until the process of st has reached its fence. same is false if the process
// has ended before.
func (j *job) awaitFence(st *s6.Status) (standing fence.Standing, same bool, err error) {
	for {
		soon := time.Now().Add(lookEvery)
		late := !j.deadline.IsZero() && j.deadline.Before(soon)
		var s fence.State
		err = j.wait(soon, func(now *s6.Status) bool {
			s = j.fence(st.PID)
			standing, same = s.Of(st.PID), now.Same(st)
			return !same || standing != fence.Coming
		})
		switch {
		case err == nil:
			if same && standing == fence.StandsBy {
				j.StandsBy = s.Holder.String()
			}
			return standing, same, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return standing, false, err
		case late:
			return standing, true, nil // nothing says that it is to stand by
		}
	}
}

// awaitElsewhere waits until no process elsewhere runs a gateway that was stopped here. If one
// still does at the deadline, it fails with exit code 1.
func (j *job) awaitElsewhere() error {
	for {
		s := j.fence(0)
		if !s.Elsewhere(j.service) {
			return nil
		}
		if !j.deadline.IsZero() && time.Now().After(j.deadline) {
			return fail.Hint(fail.Errorf(fail.No, "gateway '%s': stopped here, but it runs elsewhere: %s", j.Name, s.Holder), "stop it there")
		}
		time.Sleep(lookEvery)
	}
}

// endOrphan ends a process that holds the fence and was started for j's slot, but is not a
// child of the present supervisor: its own supervisor was killed and left it behind.
func (j *job) endOrphan() {
	s := j.fence(j.before.PID)
	if !s.Held || s.PID <= 0 || s.PID == j.before.PID || s.Elsewhere(j.service) {
		return
	}
	if st, err := j.service.Status(j.m.ScanDir.Programs); err != nil || st.PID == s.PID {
		return // started again meanwhile
	}
	deadline := j.deadline
	if deadline.IsZero() {
		deadline = time.Now().Add(slot.KillGrace)
	}
	if j.m.ScanDir.EndOrphan(j.Name, s.PID, deadline) {
		j.m.Warn("gateway '%s': ended process %d, which ran it without a supervisor", j.Name, s.PID)
	}
}
