//go:build linux

package svstat

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fence"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

// A State is what one service is doing.
type State struct {
	Name       string
	Word       string // up, down and so on, as the table shows it
	Supervised bool   // without a supervisor nothing is up, ready, paused or wanted
	Up         bool   // its run is running
	Ready      bool   // it is up, and has notified readiness
	Paused     bool   // it is up, and was stopped by s6-svc -p
	WantedUp   bool
	NormallyUp bool          // it has no ./down
	Served     bool          // it is not up, and the root profile's gateway does its work
	PID        int           // of run; 0 if it is not up
	Since      time.Time     // of its last start or death; zero for a time that no clock can have shown
	Seconds    uint64        // from Since until now
	Deaths     int           // in the last minute; for a gateway only those that count
	ExitCode   int           // of its last end; -1 if there was none, or it was by a signal
	Signal     string        // of its last end, "" for none
	NextStart  int           // in how many seconds it is started again; 0 if it does not wait
	Desired    string        // the recorded desired state, "" for none
	Linked     error         // why Desired is not known
	Standby    bool          // it is up, and waits for another process to release its fence
	Holder     *fence.Holder // of its fence, nil if no process holds it
	Lacks      bool          // it is up without its fence
	Says       *Account      // what it says about itself, nil if the present process says nothing
	Trouble    string        // what is wrong with it, "" for nothing
	of         *facts
}

// Works reports whether the service is up, or another does its work.
func (s *State) Works() bool { return s.Up || s.Served }

// Wanted reports whether the service is to be up, as far as a State read as Object shows.
// After its supervisor has given up, a service is not wanted up, but has no ./down, because no
// one has stopped it.
func (s *State) Wanted() bool {
	return s.WantedUp || s.NormallyUp && s.Desired != profile.Stopped
}

// Serves reports whether the service works, by its own account, or another does its work.
func (s *State) Serves() bool {
	return s.Ready || s.Standby || s.Served || s.Says != nil && s.Says.Serves
}

// Path returns the path of the service directory when it was found.
func (s *State) Path() string { return s.of.Path() }

// Field returns what s6-svstat -o name prints for a supervised service; for "name", its name.
func (s *State) Field(p s6.Programs, name string) string {
	if name == "name" {
		return s.Name
	}
	return s.of.Service.Field(p, &s.of.status, name)
}

// derive makes a State from f. Nothing else makes one.
func derive(f *facts) State {
	st := &f.status
	s := State{
		Name: f.Name, Supervised: st.Supervised, NormallyUp: f.normallyUp, Served: f.served,
		Up:       st.Supervised && st.Up(),
		WantedUp: st.Supervised && st.WantedUp,
		Deaths:   f.deaths, ExitCode: -1, Signal: st.SignalName(),
		NextStart: f.next, Desired: f.desired, Linked: f.linked, of: f,
	}
	if s.Up {
		s.Ready, s.Paused, s.PID = st.Ready(), st.Paused(), st.PID
		s.Lacks = f.standing == fence.Lacks
		s.Standby = f.standing == fence.StandsBy
		if s.Standby && f.fence.Held {
			s.Holder = &f.fence.Holder
		}
		if f.believed {
			s.Says = accountOf(&f.self)
		}
	}
	if st.Dated() {
		s.Since, s.Seconds = st.Since.Time(), st.Seconds()
	}
	if f.started() {
		s.ExitCode = st.ExitCode()
	}
	s.Word = s.word()
	s.Trouble = s.trouble()
	return s
}

// started reports whether the service was started since its supervisor was. Up to 2.13.1 the
// status of a service that was never started looks like that of a service that exited 0, but
// its death tally is empty.
func (f *facts) started() bool {
	return f.status.Started && (f.status.Up() || f.status.Finishing || f.died)
}

// words are all results of word.
var words = []string{"up", "ready", "standby", "unfenced", "paused", "backing off", "finishing", "down", "not started",
	"unsupervised", "served by " + profile.Default}

// word sums s up.
func (s *State) word() string {
	switch {
	case s.Served:
		return "served by " + profile.Default
	case !s.Supervised:
		return "unsupervised"
	case s.of.status.Paused(): // its finish script may be paused, too
		return "paused"
	case s.Standby:
		return "standby"
	case s.Lacks:
		return "unfenced"
	case s.Ready:
		return "ready"
	case s.Up:
		return "up"
	case s.NextStart > 0:
		return "backing off"
	case s.of.status.Finishing:
		return "finishing"
	case !s.of.started():
		return "not started"
	}
	return "down"
}

// lastExit says how the service ended the last time.
func (s *State) lastExit() string {
	if s.ExitCode >= 0 {
		return "exit " + strconv.Itoa(s.ExitCode)
	}
	return cmp.Or(s.Signal, "-")
}

// trouble says what is wrong with a gateway: it is not up although it is to be, or it dies
// again and again.
func (s *State) trouble() string {
	if !s.of.Gateway || !s.Supervised || s.Served || s.Desired == profile.Stopped && !s.WantedUp {
		return ""
	}
	why := ""
	switch {
	case s.Lacks:
		why = "running without its fence; another container may run it too"
	case s.Says != nil && s.Says.Failed:
		why = "says that it could not start"
		if reason := s.Says.ExitReason; reason != "" {
			why += ": " + reason
		}
	case s.Up && s.Deaths > 1: // a single death may be a stop that it answered with an exit code of its own
		why = "restarted again and again"
	case s.Up, !s.WantedUp && s.Desired != profile.Running && !s.failed():
		return ""
	default:
		why = s.whyDown()
	}
	if s.Deaths > 1 {
		why += fmt.Sprintf(", died %d times in the last minute", s.Deaths)
	}
	return why
}

// failed reports whether its last end was not asked for.
func (s *State) failed() bool {
	if !s.of.started() {
		return false
	}
	n := s.of.status.Signal()
	return s.ExitCode == script.ExitConfig || s.ExitCode > 0 && script.IsCrash(s.ExitCode) || n >= 0 && script.IsCrash(128+n)
}

// whyDown says why the gateway is not up.
func (s *State) whyDown() string {
	why := s.lastExit()
	switch {
	case !s.of.started():
		return "not started"
	case s.ExitCode == script.ExitConfig:
		why += ", refused its configuration, not restarted"
		if reason := cli.Excerpt(s.of.self.ExitReason, profile.MaxWords); reason != "" {
			why += ": " + reason
		}
	case s.NextStart > 0:
		why += fmt.Sprintf(", backing off, next start in %d s", s.NextStart)
	case s.WantedUp && s.ExitCode == script.ExitRestart:
		why += ", asked to be restarted"
	case s.WantedUp:
		why += ", being restarted"
	default:
		why += ", not restarted"
	}
	return why
}
