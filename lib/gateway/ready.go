//go:build linux

package gateway

import (
	"cmp"
	"errors"
	"os"
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
)

// awaitServing waits until the process of st says that it works, or notifies its supervisor.
// It is an error if the process says that it could not start, even if it has ended meanwhile,
// because the words are its own. same is false if it has ended before without saying so.
func (j *job) awaitServing(st *s6.Status) (same bool, err error) {
	if j.m.Home == nil && !j.notifies {
		return false, fail.Errorf(fail.System, "gateway '%s': cannot tell when it is ready: %w", j.Name, cmp.Or(j.m.HomeErr, os.ErrNotExist))
	}
	target := profile.TargetOf(st.PID)
	var self profile.Self
	err = j.waitSaying(func(now *s6.Status) bool {
		if self = j.says(); !self.By(target) {
			self = profile.Self{}
		}
		same = now.PID == st.PID && now.Up()
		return !same || self.Failed() || self.Serves() || now.Ready()
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		said := cmp.Or(self.State, "nothing")
		return false, fail.Errorf(fail.Timeout, "gateway '%s': not ready in time; it says: %s%s", j.Name, said, j.seeLog())
	case err == nil && self.Failed():
		return false, fail.Errorf(fail.No, "gateway '%s': could not start%s%s", j.Name, because(&self), j.seeLog())
	}
	return same, err
}

// watchAnew is how often waitSaying checks whether the profile's directory was replaced.
const watchAnew = time.Second

// waitSaying is wait, but also calls reached when the gateway may have written its state.
func (j *job) waitSaying(reached func(*s6.Status) bool) error {
	for {
		soon := time.Now().Add(watchAnew)
		last := !j.deadline.IsZero() && !j.deadline.After(soon)
		if last {
			soon = j.deadline
		}
		err := j.waitOnce(soon, reached)
		if last || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// waitOnce is waitSaying for the current directory of the profile.
func (j *job) waitOnce(deadline time.Time, reached func(*s6.Status) bool) error {
	if j.m.Home != nil {
		// Without a directory the gateway cannot write its state.
		if path, done, err := j.m.Home.Watch(j.Name); err == nil {
			defer done()
			return j.wait(deadline, reached, path)
		}
	}
	return j.wait(deadline, reached)
}

// says returns what j's gateway, or an earlier process of it, says about itself.
func (j *job) says() (self profile.Self) {
	if j.m.Home != nil {
		self = j.m.Home.Self(j.Name)
	}
	return self
}

// because returns why a gateway ended, in its own words, as the end of a message.
func because(self *profile.Self) string {
	if reason := cli.Excerpt(self.ExitReason, profile.MaxWords); reason != "" {
		return ": " + reason
	}
	return ""
}
