//go:build linux

package reconcile

import (
	"fmt"
	"strings"
)

// What can be done for a profile.
const (
	Started    = "started"    // registered, and its gateway starts
	Registered = "registered" // registered; its gateway stays down
	Unchanged  = "unchanged"
	Updated    = "updated"
	Skipped    = "skipped"
	Removed    = "removed"
	Failed     = "failed"
	Folded     = "folded" // its gateway stays down: the root profile's serves it, and starts for it
)

// A Result is what was done for one profile.
type Result struct {
	Profile string
	Prior   string // the state that counted, "" for none
	Action  string
	Exit    string // how its last gateway ended, if not properly: Unclean or OOM
	Warning error  // about something unusable that was ignored
	Err     error  // why Action is Failed
}

// Line returns r as a line of the boot log. The account writes the file that the state comes
// from, and must not be able to write lines of its own.
func (r Result) Line() string {
	line := fmt.Sprintf("profile=%s prior_state=%s action=%s", word(r.Profile), word(r.Prior), r.Action)
	if r.Exit != "" {
		line += " prior_exit=" + r.Exit
	}
	return line
}

// word makes s one harmless word of a line.
func word(s string) string {
	if s == "" {
		return "None"
	}
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c >= 0x7f {
			return '?'
		}
		return c
	}, s[:min(len(s), 255)])
}
