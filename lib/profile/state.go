package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// States of gateway_state.json that mean something here. Unknown stands for whatever is
// none of its states: the account writes the file, and what is printed of it must not
// be of its choosing.
const (
	Running  = "running"
	Stopped  = "stopped"
	Unknown  = "unknown"
	draining = "draining"
	degraded = "degraded"

	startupFailed = "startup_failed"
)

// States are all that there are.
var States = []string{"starting", Running, degraded, draining, "stopping", Stopped, startupFailed, Unknown}

// known returns state where it is a state, else Unknown.
func known(state string) string {
	if state == "" || slices.Contains(States, state) {
		return state
	}
	return Unknown
}

// maxState is more than a gateway writes; what is larger is not read at all.
const maxState = 1 << 20

// A State is what gateway_state.json says of a gateway.
type State struct {
	// Desired is what the operator asked for last, Gateway what the gateway
	// said of itself last; "" where there is no such key, Unknown where it is no
	// state.
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

// readState reads the gateway_state.json at path in d: fs.ErrNotExist where there is
// none, another error where it is no use. A link in its place is not followed, a FIFO
// not waited for, and what is too large not read (see dir.Read).
// v is all that it says, nil where it is no object.
func readState(d *dir.Dir, path string) (s State, v values, err error) {
	text, err := d.Read(path, maxState)
	if err != nil {
		return s, nil, err
	}
	if v, err = parseValues(text); err == nil {
		s, err = stateOf(v)
	}
	if err != nil {
		err = fail.Errorf(fail.System, "%s: %w", d.Path(path), err)
	}
	return s, v, err
}

// Stateless tells whether profile name has no state, so that Bootstrap would record
// one; an error means that it could not.
func (h *Home) Stateless(name string) (bool, error) {
	d, err := h.open(name)
	if err != nil {
		return false, err
	}
	defer d.Close()
	text, err := d.Read(stateFile, maxState)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(text)) == 0 {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	s, err := parseState(text)
	return err == nil && s.Counts() == "", err
}

// parseState takes the state from the text of gateway_state.json.
func parseState(text []byte) (State, error) {
	v, err := parseValues(text)
	if err != nil {
		return State{}, err
	}
	return stateOf(v)
}

// stateOf takes the state from gateway_state.json.
func stateOf(v values) (State, error) {
	var s State
	for _, m := range []struct {
		key string
		to  *string
	}{{"desired_state", &s.Desired}, {"gateway_state", &s.Gateway}} {
		value := v[m.key]
		if value == nil || string(value) == "null" {
			continue
		}
		if err := json.Unmarshal(value, m.to); err != nil {
			return State{}, fail.Errorf(fail.System, "%s: not a string", m.key)
		}
		*m.to = known(*m.to)
	}
	return s, nil
}

// DesiredState returns what the operator last asked of profile name's gateway,
// "" where nothing readable says so.
func (h *Home) DesiredState(name string) string {
	s, _, err := readState(h.dir, h.path(name, stateFile))
	if err != nil {
		return ""
	}
	return s.Desired
}
