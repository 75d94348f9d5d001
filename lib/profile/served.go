package profile

import (
	"encoding/json"
)

// Served returns the profiles that the root profile's gateway, the process target, says it
// serves besides its own. What another process said does not count, such as one that is gone
// or one in another container.
func (h *Home) Served(target Target) map[string]bool {
	text, err := h.dir.Read(stateFile, maxState)
	if err != nil {
		return nil
	}
	return parseServed(text, target)
}

func parseServed(text []byte, target Target) map[string]bool {
	v, err := parseValues(text)
	if err != nil {
		return nil
	}
	var pid int
	if json.Unmarshal(v["pid"], &pid) != nil || pid != target.PID {
		return nil
	}
	// The gateway may not know when it started, nor may we.
	var start *uint64
	if value := v["start_time"]; value != nil && json.Unmarshal(value, &start) != nil {
		return nil
	}
	if start != nil && target.Start != 0 && *start != target.Start {
		return nil
	}
	var names []string
	if json.Unmarshal(v["served_profiles"], &names) != nil {
		return nil
	}
	served := make(map[string]bool, len(names))
	for _, name := range names {
		served[name] = name != Default
	}
	return served
}
