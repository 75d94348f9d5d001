package profile

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/proc"
)

// This file is about how a gateway ended, by what it wrote into its
// gateway_state.json last. The account writes that file: nothing in it is more than
// a claim, and a value of another type than is looked for counts as none.

// ending reads the gateway_state.json at path in d for what is in it about an end.
func ending(d *dir.Dir, path string) *object {
	text, err := d.Read(path, maxState)
	if err != nil {
		return new(object)
	}
	o, err := parseObject(text)
	if err != nil {
		return new(object) // then there is nothing in it
	}
	return o
}

// unfinished are the states that a gateway leaves by writing another before it ends.
var unfinished = []string{"starting", Running, degraded, draining, "stopping"}

// uncleanEnd tells whether the gateway of the profile in d, which is in state s and
// cannot be running, ended without a word: it says that it is up, and names a process
// that is gone. Without a pid there was none that could have written the end.
func uncleanEnd(d *dir.Dir, s State) bool {
	if !slices.Contains(unfinished, s.Gateway) {
		return false
	}
	said := ending(d, stateFile)
	pid, err := strconv.Atoi(string(said.get("pid")))
	if err != nil || pid <= 0 {
		return false
	}
	// The pid alone may be another's in the container of today.
	now, alive := proc.StartTime(pid)
	then, err := strconv.ParseUint(string(said.get("start_time")), 10, 64)
	return !alive || err == nil && now != then
}

// maxReason is how many bytes of a text of the gateway's are shown.
const maxReason = 200

// ExitReason returns what profile name's gateway said last of why it ended, on one
// line of harmless characters; "" where it said nothing.
func (h *Home) ExitReason(name string) string {
	var reason string
	if json.Unmarshal(ending(h.dir, h.path(name, stateFile)).get("exit_reason"), &reason) != nil {
		return ""
	}
	return harmless(reason)
}

// harmless makes s a line of at most maxReason bytes that moves no cursor and no other
// text: control characters and those that change the direction of writing are blanks.
func harmless(s string) string {
	var line strings.Builder
	for _, word := range strings.FieldsFunc(s[:min(len(s), 4*maxReason)], func(c rune) bool {
		return unicode.IsSpace(c) || !unicode.IsPrint(c) || c == unicode.ReplacementChar
	}) {
		if line.Len() > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(word)
	}
	text := line.String()
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "")
	}
	return strings.TrimSpace(text)
}
