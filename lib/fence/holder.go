//go:build linux

package fence

import (
	"bytes"
	"encoding/json"
	"os"
	"time"

	"hermes-s6/lib/proc"
)

// A Holder is who took a fence last. What is not known is the zero value.
type Holder struct {
	Host  string    // uname(2)'s nodename
	PID   int       // in its own PID namespace
	Start uint64    // in ticks since boot (field 22 of proc_pid_stat(5))
	Since time.Time // when it took the fence, by its clock
}

// line is a Holder as it stands in the file.
type line struct {
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start_time"`
	Since string `json:"since"`
}

// maxLine is more than a holder's line can be, with maxHost bytes of host name as uname(2)
// has it. Of a longer file no more is read.
const (
	maxLine = 1 << 10
	maxHost = 64
)

// parse takes the holder from the text of a fence. One that is being written, or that
// somebody else wrote, names nobody.
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

// lives tells whether h is a process of this host and alive.
func (h Holder) lives() bool {
	start, ok := proc.StartTime(h.PID)
	return h.Host != "" && !h.Foreign() && ok && start == h.Start
}

// String names h for people.
func (h Holder) String() string {
	if h.Host == "" {
		return "another process"
	}
	if h.Since.IsZero() {
		return h.Host
	}
	return h.Host + ", since " + h.Since.UTC().Format(time.RFC3339)
}

// Foreign tells whether h was on another host.
func (h Holder) Foreign() bool {
	host, err := os.Hostname()
	return h.Host != "" && (err != nil || h.Host != host)
}

// us is the Holder that this process is.
func us() Holder {
	h := Holder{PID: os.Getpid(), Since: time.Now()}
	h.Host, _ = os.Hostname()
	h.Start, _ = proc.StartTime(h.PID)
	return h
}
