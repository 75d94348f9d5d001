//go:build linux

package gateway

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/manager"
	"hermes-s6/lib/proc"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/slot"
)

// drain asks a Hermes gateway to exit, with code 75, when its agents have finished. It also
// continues a paused gateway.
const drain = "1c"

// self returns what j's gateway says about itself. its reports whether the process that was up
// when the command was given said it.
func (j *job) self() (self profile.Self, its bool) {
	if !j.before.Up() {
		return self, false
	}
	self = j.says()
	return self, self.Is(profile.TargetOf(j.before.PID))
}

// makeWay returns the letters that have j's gateway end in favour of another process: by a
// drain if the gateway supports that. The drain's signal would kill a program that does not
// catch it.
func (j *job) makeWay() string {
	j.ends = true
	if _, its := j.self(); its && proc.Catches(j.before.PID, unix.SIGUSR1) {
		j.drains = true
		return drain
	}
	return terminate
}

// awaitDrained waits for a gateway that was asked to drain. If it does not exit by itself, it
// is then told to, like any other.
func (j *job) awaitDrained(o manager.Options, ended func(*s6.Status) bool) error {
	if !j.drains || o.Drain == 0 {
		return nil
	}
	err := j.wait(j.told.Add(o.Drain), ended)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	err = j.signal(terminate)
	j.deadline = slot.Deadline(o.Timeout)
	return err
}

// awaitAgents gives a gateway that has not ended at the deadline because it waits for agents
// until the end of the drain.
func (j *job) awaitAgents(o manager.Options, ended func(*s6.Status) bool) error {
	if self, its := j.self(); !its || !self.Draining() || o.Drain == 0 {
		return os.ErrDeadlineExceeded
	}
	j.m.Info("gateway '%s': waiting for agents at work", j.Name)
	return j.wait(j.told.Add(o.Drain), ended)
}
