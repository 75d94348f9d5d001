//go:build linux

package svstat

import (
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/profile"
)

// Object returns what --json prints of s, read in the Depth of that name. What does not
// apply is null.
func (s *State) Object() any {
	dated := !s.Since.IsZero()
	return struct {
		Name       string  `json:"name"`
		Supervised bool    `json:"supervised"`
		Up         bool    `json:"up"`
		WantedUp   bool    `json:"wantedup"`
		NormallyUp bool    `json:"normallyup"`
		Ready      bool    `json:"ready"`
		Paused     bool    `json:"paused"`
		PID        *int    `json:"pid"`
		ExitCode   *int    `json:"exitcode"`
		Signal     *string `json:"signal"`
		Since      *string `json:"since"`
		Seconds    *uint64 `json:"seconds"`
		Deaths     int     `json:"deaths"`
		NextStart  *int    `json:"next_start_in"`
		Desired    *string `json:"desired_state"`
		ServedBy   *string `json:"served_by"`
	}{
		s.Name, s.Supervised, s.Up, s.WantedUp, s.NormallyUp, s.Ready, s.Paused,
		cli.Given(s.PID, s.Up), cli.Given(s.ExitCode, s.ExitCode >= 0), cli.Given(s.Signal, s.Signal != ""),
		cli.Given(s.Since.Format(time.RFC3339), dated), cli.Given(s.Seconds, dated), s.Deaths,
		cli.Given(s.NextStart, s.NextStart > 0), cli.Given(s.Desired, s.Desired != ""),
		cli.Given(profile.Default, s.Served),
	}
}
