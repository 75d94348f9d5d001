package profile

import (
	"bytes"
	"encoding/json"
)

// DesiredState returns what the operator last asked of profile name's gateway,
// "running" or "stopped", and "" where nothing readable says so.
func (h *Home) DesiredState(name string) string {
	d, err := h.open(name)
	if err != nil {
		return ""
	}
	defer d.Close()
	data, err := d.Read(stateFile, maxState)
	if err != nil {
		return ""
	}
	var state struct {
		Desired any `json:"desired_state"`
	}
	// The gateway's Python, on some hosts, opens it with a byte order mark.
	if json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &state) != nil {
		return ""
	}
	desired, _ := state.Desired.(string)
	return desired
}
