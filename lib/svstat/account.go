//go:build linux

package svstat

import (
	"cmp"
	"slices"
	"strconv"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/profile"
)

// An Account is what the running gateway says about itself. The account that it runs as can
// make it say anything, of any length. This is as much as may be shown, each text on one line.
type Account struct {
	State        string            // "" if it does not say, profile.Unknown for an unknown one
	Serves       bool              // it works, if not on every platform
	Failed       bool              // it could not start, and has not exited yet
	Platforms    map[string]string // name to state, "" if it does not say
	ActiveAgents int               // -1 if it does not say
	Attention    []string          // what platforms complain about, in the order of their names
	ExitReason   string            // why it could not start, "" if it does not say
}

const (
	maxPlatforms = 500
	maxAgents    = 1e9
)

// accountOf shortens what self says.
func accountOf(self *profile.Self) *Account {
	a := &Account{State: self.State, Serves: self.Serves(), Failed: self.Failed(), Platforms: map[string]string{}, ActiveAgents: -1}
	if self.ActiveAgents >= 0 && self.ActiveAgents <= maxAgents {
		a.ActiveAgents = int(self.ActiveAgents)
	}
	if a.Failed {
		a.ExitReason = cli.Excerpt(self.ExitReason, profile.MaxWords)
	}
	shown := 0
	for _, complain := range []bool{true, false} { // if there are too many, those with complaints come first
		for _, p := range self.Platforms {
			if p.Complains() != complain || shown == maxPlatforms {
				continue
			}
			shown++
			a.Platforms[cli.Excerpt(p.Name, profile.MaxWords)] = cli.Excerpt(p.State, profile.MaxWords)
			if complain {
				a.Attention = append(a.Attention, cli.Excerpt(p.Name+": "+p.Complaint, profile.MaxWords))
			}
		}
	}
	if more := len(self.Platforms) - shown; more > 0 {
		a.Attention = append(a.Attention, strconv.Itoa(more)+" more platforms are not shown")
	}
	return a
}

// object returns the JSON form of a, null for nil.
func (a *Account) object() any {
	if a == nil {
		return nil
	}
	platforms := make(map[string]*string, len(a.Platforms))
	for name, state := range a.Platforms {
		platforms[name] = cli.Given(state, state != "")
	}
	return struct {
		State     *string            `json:"state"`
		Platforms map[string]*string `json:"platforms"`
		Agents    *int               `json:"active_agents"`
		Attention []string           `json:"attention"`
	}{
		cli.Given(a.State, a.State != ""), platforms, cli.Given(a.ActiveAgents, a.ActiveAgents >= 0),
		append([]string{}, a.Attention...),
	}
}

// maxLines is how many platforms get a line below the table.
const maxLines = 5

// complaints returns the lines below the table with the complaints of platforms.
func (s *State) complaints() []string {
	if s.Says == nil {
		return nil
	}
	lines := s.Says.Attention
	if more := len(lines) - maxLines; more > 0 {
		lines = append(slices.Clone(lines[:maxLines]), "and "+strconv.Itoa(more)+" more; --json has all")
	}
	return lines
}

// says returns the state that the gateway says it is in, for the table.
func (s *State) says() string {
	if s.Says == nil {
		return "-"
	}
	return cmp.Or(s.Says.State, "-")
}
