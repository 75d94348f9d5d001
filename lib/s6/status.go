//go:build linux

package s6

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/proc"
)

// A Status is what s6-supervise last wrote about its service in supervise/status, with
// additions from the service directory.
type Status struct {
	Supervised bool // an s6-supervise is running; if not, all below is old, or empty
	Known      bool // there is a status at all
	Started    bool // the service was started once

	stamp      TAI64N // Since as it was written, whatever the clock says now
	Since      TAI64N // of the last start or death, or of the supervisor's start if it was never started
	ReadySince TAI64N
	PID        int // of run, or of finish while Finishing; 0 for none
	PGID       int // of run; in 2.13 of finish while Finishing; 0 for none
	Wait       syscall.WaitStatus
	Finishing  bool
	WantedUp   bool
	readyFlag  bool
	pausedFlag bool // also set in a status of a service that was never started, to mark it

	Now TAI64N // when this was read
}

// The sizes of supervise/status. statusSize is used up to 2.12 and again from 2.14. In 2.13
// the process group's ID follows the pid (S6_SVSTATUS_SIZE in s6/supervise.h).
const (
	statusSize    = 35
	statusSize213 = 43
)

// decode fills s from the content of supervise/status. It returns false for an unknown size,
// since the format is private to s6.
func (s *Status) decode(b []byte) bool {
	if len(b) != statusSize && len(b) != statusSize213 {
		return false
	}
	// s6_svstatus_unpack.c
	copy(s.stamp[:], b)
	s.Since = s.stamp
	copy(s.ReadySince[:], b[12:])
	s.PID = pidOf(b[24:])
	rest := b[32:]
	if len(b) == statusSize213 {
		s.PGID = pidOf(rest)
		rest = rest[8:]
	}
	s.Wait = syscall.WaitStatus(binary.BigEndian.Uint16(rest))
	flags := rest[2]
	s.pausedFlag = flags&1 != 0
	s.Finishing = flags&2 != 0
	s.WantedUp = flags&4 != 0
	s.readyFlag = flags&8 != 0
	if len(b) == statusSize && s.Up() {
		s.PGID = s.PID // of a session leader
	}
	// notstartedyet in s6-svstat.c, since 2.13.2.
	s.Known = true
	s.Started = s.PID != 0 || s.Finishing || !s.pausedFlag
	// s6-svstat's main does this with one of its two stamps.
	if bytes.Compare(s.Since[:], s.Now[:]) > 0 {
		s.Since = s.Now
	}
	return true
}

// pidOf converts the 8 bytes to a pid_t, as a call of kill(2) would.
func pidOf(b []byte) int { return int(int32(binary.BigEndian.Uint64(b))) }

// Same reports whether s and t show the same state: no run or finish has started or ended
// between them.
func (s *Status) Same(t *Status) bool { return s.stamp == t.stamp && s.PID == t.PID }

// Up reports whether the service's run is running.
func (s *Status) Up() bool { return s.PID != 0 && !s.Finishing }

// Down reports whether neither run nor finish is running.
func (s *Status) Down() bool { return s.PID == 0 }

// Ready reports whether the service is up and has notified readiness.
func (s *Status) Ready() bool { return s.PID != 0 && s.readyFlag }

// Paused reports whether the service was stopped by s6-svc -p.
func (s *Status) Paused() bool { return s.pausedFlag && s.PID != 0 }

// Dated reports whether a clock can have shown Since: a clock that was not set says 1970, and
// an earlier date comes from a damaged file.
func (s *Status) Dated() bool { return s.Known && s.Since.sec() >= taiOffset }

// Seconds returns how long the service has been up or down.
func (s *Status) Seconds() uint64 { return s.Since.until(s.Now) }

// ExitCode returns the exit code of a service that is down because it exited, else -1.
func (s *Status) ExitCode() int {
	if s.Up() || !s.Started || !s.Wait.Exited() {
		return -1
	}
	return s.Wait.ExitStatus()
}

// Signal returns the signal that killed a service that is down, else -1.
func (s *Status) Signal() int {
	if s.Up() || !s.Started || !s.Wait.Signaled() {
		return -1
	}
	return int(s.Wait.Signal())
}

// SignalName returns the name of Signal as s6-svstat prints it, "" for none.
func (s *Status) SignalName() string {
	n := s.Signal()
	if n < 0 {
		return ""
	}
	name := unix.SignalName(syscall.Signal(n))
	switch {
	case name == "":
		return "SIG???" // sig_name.c knows no real-time signals either
	case n == int(unix.SIGIO):
		return "SIGPOLL" // as POSIX, and s6 up to 2.13, call it
	}
	return name
}

// Fields are the names that s6-svstat -o accepts, in the order of its usage message. pgid
// exists since 2.13.
var Fields = []string{"up", "wantedup", "normallyup", "ready", "paused", "pid", "pgid",
	"exitcode", "signal", "signum", "updownsince", "readysince", "updownfor", "readyfor"}

// Field returns what s6-svstat -o name prints for s. Service.Field handles the fields for
// which s is not enough: normallyup, and the names of some signals.
func (s *Status) Field(name string) string {
	switch name {
	case "up":
		return strconv.FormatBool(s.Up())
	case "wantedup":
		return strconv.FormatBool(s.WantedUp)
	case "ready":
		return strconv.FormatBool(s.Ready())
	case "paused":
		return strconv.FormatBool(s.Paused())
	case "pid":
		if !s.Up() {
			return "-1"
		}
		return strconv.Itoa(s.PID)
	case "pgid":
		if s.PGID <= 0 {
			return "-1"
		}
		return strconv.Itoa(s.PGID)
	case "exitcode":
		return strconv.Itoa(s.ExitCode())
	case "signum":
		return strconv.Itoa(s.Signal())
	case "signal":
		if name := s.SignalName(); name != "" {
			return name
		}
		return "NA"
	case "updownsince":
		return s.Since.String()
	case "readysince":
		return s.ReadySince.String()
	case "updownfor":
		return strconv.FormatUint(s.Seconds(), 10)
	case "readyfor":
		return strconv.FormatUint(s.ReadySince.until(s.Now), 10)
	}
	panic("s6: no such field: " + name)
}

// asked are the fields from which parse makes a Status.
const asked = "up,wantedup,ready,paused,pid,exitcode,signum,updownsince,readysince"

// parse fills s from the output of s6-svstat -o asked. That output does not show whether a
// finish script is running, so such a service is down here.
func (s *Status) parse(out string) error {
	f := strings.Fields(out)
	if len(f) != strings.Count(asked, ",")+1 {
		return fail.Errorf(fail.Program, "s6-svstat: cannot parse %q", out)
	}
	s.WantedUp = f[1] == "true"
	s.readyFlag = f[2] == "true"
	s.pausedFlag = f[3] == "true"
	s.Known, s.Started = true, true
	pid, err1 := strconv.Atoi(f[4])
	code, err2 := strconv.Atoi(f[5])
	signal, err3 := strconv.Atoi(f[6])
	if f[0] == "true" {
		s.PID, s.PGID = pid, pid
	}
	switch {
	case signal >= 0:
		s.Wait = syscall.WaitStatus(signal)
	case code >= 0:
		s.Wait = syscall.WaitStatus(code << 8)
	case f[0] != "true":
		s.Started = false
	}
	if err1 != nil || err2 != nil || err3 != nil || !s.Since.Parse(f[7]) || !s.ReadySince.Parse(f[8]) {
		return fail.Errorf(fail.Program, "s6-svstat: cannot parse %q", out)
	}
	s.stamp = s.Since
	return nil
}

// A Death is one entry of supervise/death_tally.
type Death struct {
	At     TAI64N
	Code   int // the exit code, or 128 plus Signal
	Signal int // 0 if it exited
}

// deathSize is S6_DTALLY_PACK, maxDeaths S6_MAX_DEATH_TALLY (s6/supervise.h).
const (
	deathSize = 14
	maxDeaths = 4096
)

// decodeDeaths decodes a death tally, oldest first. It ignores an incomplete entry at the end.
func decodeDeaths(b []byte) []Death {
	deaths := make([]Death, 0, len(b)/deathSize)
	for ; len(b) >= deathSize; b = b[deathSize:] {
		// s6_dtally_unpack.c
		d := Death{Code: int(b[12]), Signal: int(b[13])}
		copy(d.At[:], b)
		deaths = append(deaths, d)
	}
	return deaths
}

// DeathsWithin counts the deaths in the last span before now. It includes deaths up to span
// after now: a clock may go back a little, or a death may happen while we look. Later ones are
// from before the clock was set back.
func DeathsWithin(deaths []Death, now TAI64N, span time.Duration) int {
	from, to := taiOf(now.Time().Add(-span)), taiOf(now.Time().Add(span))
	n := 0
	for _, d := range deaths {
		if bytes.Compare(d.At[:], from[:]) >= 0 && bytes.Compare(d.At[:], to[:]) <= 0 {
			n++
		}
	}
	return n
}

// Orphaned reports whether a service without a supervisor still runs: a process with the pid
// of its last status is as old as that status. Then the supervisor was killed, but not its
// service.
func (s *Status) Orphaned() bool {
	if s.Supervised || !s.Up() {
		return false
	}
	age, ok := proc.Age(s.PID)
	// Not Since, which is now if the stamp is in the future: that is also the age of a process
	// that has just got that pid.
	return ok && (age-s.Now.Time().Sub(s.stamp.Time())).Abs() < 2*time.Second
}
