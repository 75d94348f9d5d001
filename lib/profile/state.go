package profile

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// States of gateway_state.json that we know. The gateway writes more.
const (
	Running  = "running"
	Stopped  = "stopped"
	draining = "draining"
	degraded = "degraded"
)

// maxState is more than a gateway writes; what is larger is not read at all.
const maxState = 1 << 20

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

// readState reads the gateway_state.json at path in d: fs.ErrNotExist where there is
// none, another error where it is no use. A link in its place is not followed, a FIFO
// not waited for, and what is too large not read (see dir.Read).
func readState(d *dir.Dir, path string) (State, error) {
	text, err := d.Read(path, maxState)
	if err != nil {
		return State{}, err
	}
	s, err := parseState(text)
	if err != nil {
		err = fail.Errorf(fail.System, "%s: %w", d.Path(path), err)
	}
	return s, err
}

// parseState takes the state from the text of gateway_state.json.
func parseState(text []byte) (State, error) {
	text = bytes.TrimPrefix(text, bom)
	if !utf8.Valid(text) {
		return State{}, errNotUTF8
	}
	// Into a map: keys of a struct would be compared regardless of case.
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return State{}, err
	}
	if object == nil {
		return State{}, errNotObject
	}
	var s State
	for _, m := range []struct {
		key string
		to  *string
	}{{"desired_state", &s.Desired}, {"gateway_state", &s.Gateway}} {
		value := object[m.key]
		if value == nil || string(value) == "null" {
			continue
		}
		if err := json.Unmarshal(value, m.to); err != nil {
			return State{}, fail.Errorf(fail.System, "%s: %w", m.key, err)
		}
	}
	return s, nil
}

// DesiredState returns what the operator last asked of profile name's gateway,
// "" where nothing readable says so.
func (h *Home) DesiredState(name string) string {
	s, err := readState(h.dir, h.path(name, stateFile))
	if err != nil {
		return ""
	}
	return s.Desired
}
