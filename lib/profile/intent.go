package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/proc"
)

// plannedStop is the file that a gateway looks for when it is told to stop. If the file names
// that gateway, the stop is intended.
const plannedStop = ".gateway-planned-stop.json"

// writePatience is how long we wait for another of our processes, which needs milliseconds.
const writePatience = 2 * time.Second

// errKnown stops an edit that has nothing to do.
var errKnown = errors.New("there is a state already")

// Intend records in gateway_state.json what the operator wants of profile name's gateway
// (desired is Running or Stopped), and when. Every other byte of the file stays (see
// dir.Update for what can be lost). A file that is not a JSON object is left alone: it is not
// ours to replace.
func (h *Home) Intend(name, desired string, now time.Time) error {
	return h.intend(name, desired, now, func([]byte) error { return nil })
}

// Bootstrap records Running as the desired state of profile name, unless it has a state
// already. It reports whether it did.
func (h *Home) Bootstrap(name string, now time.Time) (bool, error) {
	err := h.intend(name, Running, now, func(text []byte) error {
		s, err := parseState(text)
		if err == nil && s.Counts() != "" {
			err = errKnown
		}
		return err
	})
	if errors.Is(err, errKnown) {
		return false, nil
	}
	return err == nil, err
}

func (h *Home) intend(name, desired string, now time.Time, check func([]byte) error) error {
	d, err := h.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fail.Errorf(fail.Absent, "profile %s: no directory in the home", name)
	}
	if err != nil {
		return err
	}
	defer d.Close()
	// Two of our processes would overwrite each other's change. The gateway takes no lock.
	if err := d.Lock(time.Now().Add(writePatience)); err != nil && !dir.NoLocks(err) {
		return err
	}
	return d.Update(stateFile, maxState, 0o644, h.UID, h.GID, func(old []byte) ([]byte, error) {
		text, err := setIntent(old, desired, now, check)
		if err != nil && !errors.Is(err, errKnown) {
			err = fail.Errorf(fail.System, "%s: %w", d.Path(stateFile), err)
		}
		return text, err
	})
}

// setIntent changes the text of a gateway_state.json. A full disk leaves an empty file, which
// counts as {}.
func setIntent(text []byte, desired string, now time.Time, check func([]byte) error) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n")
	}
	if err := check(text); err != nil {
		return nil, err
	}
	for _, m := range []struct {
		key   string
		value any
	}{{"desired_state", desired}, {"updated_at", now.Unix()}} {
		o, err := parseObject(text)
		if err != nil {
			return nil, err
		}
		if text, err = o.set(m.key, m.value); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// A Target identifies a gateway's process, so that a later process with the same pid is not
// mistaken for it.
type Target struct {
	PID int
	// Start is when the process started, in ticks since boot (field 22 of /proc/PID/stat), 0
	// if that cannot be known.
	Start uint64
}

// TargetOf returns the Target of process pid.
func TargetOf(pid int) Target {
	start, _ := proc.StartTime(pid)
	return Target{PID: pid, Start: start}
}

// PlanStop tells profile name's gateway, which is target, that it is about to be stopped on
// purpose. Otherwise the gateway would assume that the container is going down, after which it
// is to run again.
func (h *Home) PlanStop(name string, target Target, now time.Time) error {
	d, err := h.open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	h.alone(d)
	var start *uint64
	if target.Start != 0 {
		start = &target.Start
	}
	text, err := json.Marshal(struct {
		PID       int     `json:"target_pid"`
		Start     *uint64 `json:"target_start_time"`
		Stopper   int     `json:"stopper_pid"`
		WrittenAt string  `json:"written_at"`
	}{target.PID, start, os.Getpid(), now.UTC().Format("2006-01-02T15:04:05.000000-07:00")})
	if err != nil {
		return err
	}
	// Replace the file instead of writing into it, as with a record.
	return d.Replace(plannedStop, 0o600, h.UID, h.GID, append(text, '\n'))
}

// alone keeps our other processes from writing to d, the directory of a profile, until d is
// closed: if two replace a file at once, one of the changes is lost. The account can hold this
// lock and so keep it from us; then we go on without it. For a thousand directories we wait no
// longer than for one.
func (h *Home) alone(d *dir.Dir) {
	since := time.Now()
	if err := d.Lock(since.Add(writePatience - time.Duration(h.waited.Load()))); errors.Is(err, os.ErrDeadlineExceeded) {
		h.waited.Add(int64(time.Since(since)))
	}
}
