//go:build linux

package fence

import (
	"bytes"
	"encoding/json"
	"os"
	"time"

	"hermes-s6/lib/proc"
)

// A Holder is the process that took a fence last. Unknown values are zero.
type Holder struct {
	Host  string    // nodename of uname(2)
	PID   int       // in its own PID namespace
	Start uint64    // in ticks since boot (field 22 of proc_pid_stat(5))
	Since time.Time // when it took the fence, by its clock
}

// line is a Holder as written in the file.
type line struct {
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start_time"`
	Since string `json:"since"`
}

// maxLine is more than a holder's line can take, with a host name of maxHost bytes, the limit
// of uname(2). No more than that is read.
const (
	maxLine = 1 << 10
	maxHost = 64
)

// parse parses the holder in the text of a fence. A text that is incomplete, or that was not
// written by us, names no holder.
func parse(text []byte) Holder {
	var l line
	text, _, whole := bytes.Cut(text, []byte{'\n'})
	if !whole || json.Unmarshal(text, &l) != nil {
		return Holder{}
	}
	if len(l.Host) > maxHost {
		return Holder{}
	}
	since, _ := time.Parse(time.RFC3339, l.Since)
	return Holder{Host: l.Host, PID: l.PID, Start: l.Start, Since: since}
}

// lives reports whether h is a live process of this host.
func (h Holder) lives() bool {
	start, ok := proc.StartTime(h.PID)
	return h.Host != "" && !h.Foreign() && ok && start == h.Start
}

// String describes h for people.
func (h Holder) String() string {
	if h.Host == "" {
		return "another process"
	}
	if h.Since.IsZero() {
		return h.Host
	}
	return h.Host + ", since " + h.Since.UTC().Format(time.RFC3339)
}

// Foreign reports whether h was on another host.
func (h Holder) Foreign() bool {
	host, err := os.Hostname()
	return h.Host != "" && (err != nil || h.Host != host)
}

// us returns this process as a Holder.
func us() Holder {
	h := Holder{PID: os.Getpid(), Since: time.Now()}
	h.Host, _ = os.Hostname()
	h.Start, _ = proc.StartTime(h.PID)
	return h
}
