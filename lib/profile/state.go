package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"time"
	"unicode/utf8"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// States of gateway_state.json that we know. The gateway writes more.
const (
	Running  = "running"
	draining = "draining"
	degraded = "degraded"
)

// A State is what gateway_state.json says of a gateway.
type State struct {
	// Desired is what the operator asked for last, Gateway what the gateway
	// said of itself last; "" where there is no such key.
	Desired, Gateway string
}

// Counts returns the state that counts, "" where there is none.
func (s State) Counts() string {
	if s.Desired != "" {
		return s.Desired
	}
	return s.Gateway
}

// Starts tells whether a gateway in state s is to start at boot. One that was
// draining or degraded was up; one that was starting, or had failed to, was
// not, and would not be now.
func (s State) Starts() bool {
	if s.Desired != "" {
		return s.Desired == Running
	}
	return s.Gateway == Running || s.Gateway == draining || s.Gateway == degraded
}

// readState reads gateway_state.json in d: fs.ErrNotExist where there is none,
// another error where it is no use.
func readState(d *dir.Dir) (State, error) {
	object, err := readObject(d, stateFile)
	if err != nil {
		return State{}, err
	}
	s, err := stateOf(object)
	if err != nil {
		err = fail.Errorf(fail.System, "%s: %w", d.Path(stateFile), err)
	}
	return s, err
}

// stateOf takes the state from the object in gateway_state.json.
func stateOf(object map[string]json.RawMessage) (State, error) {
	var s State
	for key, to := range map[string]*string{"desired_state": &s.Desired, "gateway_state": &s.Gateway} {
		value := object[key]
		if value == nil || string(value) == "null" {
			continue
		}
		if err := json.Unmarshal(value, to); err != nil {
			return State{}, fail.Errorf(fail.System, "%s: %w", key, err)
		}
	}
	return s, nil
}

// readObject reads the JSON object in the file name. Its values stay as they
// were written, so that a number keeps its digits.
func readObject(d *dir.Dir, name string) (map[string]json.RawMessage, error) {
	data, err := d.Read(name, maxState)
	if err != nil {
		return nil, err
	}
	// The gateway's Python, on some hosts, writes a byte order mark.
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return nil, fail.Errorf(fail.System, "%s: not UTF-8", d.Path(name))
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, fail.Errorf(fail.System, "%s: %w", d.Path(name), err)
	}
	if object == nil {
		return nil, fail.Errorf(fail.System, "%s: not an object", d.Path(name))
	}
	return object, nil
}

// DesiredState returns what the operator last asked of profile name's gateway,
// "" where nothing readable says so.
func (h *Home) DesiredState(name string) string {
	d, err := h.open(name)
	if err != nil {
		return ""
	}
	defer d.Close()
	s, err := readState(d)
	if err != nil {
		return ""
	}
	return s.Desired
}

// Bootstrap records Running as the desired state of the root profile, unless
// it has a state already. It tells whether it did.
func (h *Home) Bootstrap(now time.Time) (bool, error) {
	object, err := readObject(h.dir, stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		object, err = map[string]json.RawMessage{}, nil
	}
	if err != nil {
		return false, err
	}
	if s, err := stateOf(object); s.Counts() != "" || err != nil {
		return false, err
	}
	object["desired_state"], _ = json.Marshal(Running)
	object["updated_at"], _ = json.Marshal(now.Unix())
	data, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		return false, err
	}
	return true, h.dir.Replace(stateFile, 0o644, h.UID, h.GID, append(data, '\n'))
}
