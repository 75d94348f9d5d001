//go:build linux

package logs

import (
	"bytes"
	"strings"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/s6"
)

// A stamp is a local time as s6-log's T writes it, so that stamps compare as their bytes do.
// The zero stamp is before all others.
type stamp [len(stampForm)]byte

const stampForm = "2006-01-02 15:04:05.000000000"

// labelSize is the length of a TAI64N label, as s6-log's t writes it.
const labelSize = 25

func (s *stamp) before(other *stamp) bool { return bytes.Compare(s[:], other[:]) < 0 }

// setTo makes s the stamp of t, or the zero stamp if no stamp can represent t.
func (s *stamp) setTo(t time.Time) {
	*s = stamp{}
	if text := t.Local().Format(stampForm); len(text) == len(s) {
		copy(s[:], text)
	}
}

// json returns the JSON form of s.
func (s *stamp) json() string {
	t, err := time.ParseInLocation(stampForm, string(s[:]), time.Local)
	if err != nil {
		return "null"
	}
	return t.Format(`"` + time.RFC3339Nano + `"`)
}

// stampOf returns the stamp, of T or of t, at the beginning of line, and its size including
// the blanks behind it, 0 if there is none.
func stampOf(line []byte) (s stamp, size int) {
	if len(line) > labelSize && line[labelSize] == ' ' {
		if t, ok := labelTime(string(line[:labelSize])); ok {
			s.setTo(t)
			return s, labelSize + 1
		}
	}
	if len(line) < len(s)+2 || string(line[len(s):len(s)+2]) != "  " {
		return s, 0
	}
	for i, c := range []byte(stampForm) {
		digit := line[i] >= '0' && line[i] <= '9'
		if c >= '0' && c <= '9' && !digit || (c < '0' || c > '9') && line[i] != c {
			return s, 0
		}
	}
	copy(s[:], line)
	return s, len(s) + 2
}

// labelTime returns the time of a TAI64N label.
func labelTime(label string) (time.Time, bool) {
	var l s6.TAI64N
	ok := l.Parse(label)
	return l.Time(), ok
}

// Since parses the value of --since: a duration before now, or a time of day, local if it has
// no zone.
func Since(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	form := strings.Replace(text, " ", "T", 1)
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, form, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fail.Errorf(fail.Usage, "invalid time %q: must be like 2026-11-24T18:00:00, or 10m, 36h or 90s for so long ago", text)
}
