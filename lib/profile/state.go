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

// States of gateway_state.json that are used here. Unknown stands for any other string: the
// account writes the file, and must not choose what is printed.
const (
	Running  = "running"
	Stopped  = "stopped"
	Unknown  = "unknown"
	draining = "draining"
	degraded = "degraded"

	startupFailed = "startup_failed"
)

// States are all possible states.
var States = []string{"starting", Running, degraded, draining, "stopping", Stopped, startupFailed, Unknown}

// known returns state if it is a known state, else Unknown.
func known(state string) string {
	if state == "" || slices.Contains(States, state) {
		return state
	}
	return Unknown
}

// maxState is more than a gateway writes. A larger file is not read at all.
const maxState = 1 << 20

// A State is what gateway_state.json says about a gateway.
type State struct {
	// Desired is what the operator asked for last. Gateway is what the gateway said about
	// itself last. Each is "" if there is no such key, and Unknown if the value is not a known
	// state.
	Desired, Gateway string
}

// Counts returns the state that counts, "" if there is none.
func (s State) Counts() string {
	if s.Desired != "" {
		return s.Desired
	}
	return s.Gateway
}

// Starts reports whether a gateway in state s is to start at boot. A gateway that was draining
// or degraded was up. One that was starting, or had failed to start, was not up, and would not
// come up now.
func (s State) Starts() bool {
	if s.Desired != "" {
		return s.Desired == Running
	}
	return s.Gateway == Running || s.Gateway == draining || s.Gateway == degraded
}

// readState reads the gateway_state.json at path in d. It returns fs.ErrNotExist if there is
// none, and another error if it is unusable. It does not follow a link in the file's place,
// wait for a FIFO, or read a file that is too large (see dir.Read). v holds all values, nil if
// the file is not an object.
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

// Stateless reports whether profile name has no state, so that Bootstrap would record one. An
// error means that Bootstrap could not.
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

// parseState parses the state in the text of gateway_state.json.
func parseState(text []byte) (State, error) {
	v, err := parseValues(text)
	if err != nil {
		return State{}, err
	}
	return stateOf(v)
}

// stateOf extracts the state from the values of gateway_state.json.
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

// DesiredState returns what the operator last asked of profile name's gateway, or "" if that
// is not recorded or cannot be read.
func (h *Home) DesiredState(name string) string {
	s, _, err := readState(h.dir, h.path(name, stateFile))
	if err != nil {
		return ""
	}
	return s.Desired
}
