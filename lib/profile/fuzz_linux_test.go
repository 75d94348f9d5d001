package profile

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/must"
)

// states are the states that a gateway or an operator can have written.
var states = []string{"", "starting", "running", "degraded", "draining", "stopping", "stopped", "startup_failed"}

// FuzzState compares what is read from a gateway_state.json with what decoding it into a map
// finds, and with what is written there.
func FuzzState(f *testing.F) {
	for _, s := range []string{"", "\ufeff{}", `null`, `[]`, `{"desired_state":"running","gateway_state":"draining"}`,
		`{"desired_state":null,"gateway_state":"\ud800"}`, `{"desired_state":1}`, `{"Desired_State":"running"}`, `{"a":[NaN,-Infinity],"desired_state":"running"}`, `{"gateway_state":"NaN"}`, `{"a":NaNN}`, `{"a":--Infinity}`,
		`{"desired_state":1,"desired_state":"stopped"}`, `{"pid":1e999}`, "{\"gateway_state\":\"\xff\"}", strings.Repeat("[", 20000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseState(text)
		if err != nil {
			if s != (State{}) {
				t.Errorf("%q: %+v besides %v", text, s, err)
			}
			return
		}
		var all map[string]any
		d := json.NewDecoder(bytes.NewReader(withoutNaN(bytes.TrimPrefix(text, bom))))
		d.UseNumber() // an unused number may be of any size
		if err := d.Decode(&all); err != nil {
			t.Fatalf("%q is %+v: %v", text, s, err)
		}
		for key, got := range map[string]string{"desired_state": s.Desired, "gateway_state": s.Gateway} {
			want, ok := all[key].(string)
			if !slices.Contains(states, want) {
				want = Unknown
			}
			if got != want || !ok && all[key] != nil {
				t.Errorf("%q: %s is %q, want %v", text, key, got, all[key])
			}
		}
		if s.Starts() && s.Counts() == "" {
			t.Errorf("%q starts without a state", text)
		}
		// A text that can be read can be changed, and then says what it was told to.
		changed, err := setIntent(text, Stopped, time.Unix(1, 0), func([]byte) error { return nil })
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got, err := parseState(changed); err != nil || got != (State{Stopped, s.Gateway}) {
			t.Errorf("%q became %q: %+v, %v", text, changed, got, err)
		}
	})
}

// longest is the longest name that a profile can have.
var longest = strings.Repeat("x", maxName)

// FuzzSettings: a record that passes Check can be written, reads back as it was, and can be
// handed to a program, for a profile of any name.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"port":65535,"derived_port":9200,"env":{"A":"b","C":{"base64":"/w=="},"D":null,"E":{}},"command":"a 'b c' {profile}","dialect":"execline"}`,
		`{"PORT":1,"env":{"A":"1","A":"2"},"Env":{"B":"3"}}`, `{"env":{"A":"<&>\u2028\u0000"}}`, `{"env":{"A":{"base64":"AA=="}}}`,
		`{"env":{"A":{"base64":"YQ==\n"}}}`, `{"env":{"A":{"BASE64":"YQ"}}}`, `{"command":"a #\u0001"}`, `{"command":"\"a"}`, `{"command":"-x"}`, `{"command":"''"}`,
		"{\"command\":\"a \xff\"}", `{"command":"{profile}"}`, `{"env":{"OPTIND":"1"}}`, `{"dialect":"SH"}`, `{"port":1e3}`, `{"port":-0}`,
	} {
		f.Add([]byte(s), uint16(0))
	}
	f.Add([]byte(`{"command":"a {profile}"}`), uint16(600))
	f.Add([]byte(`{"command":"a \u0001"}`), uint16(60000))
	f.Add([]byte(`{"command":"a #"}`), uint16(65535))
	f.Add([]byte(`{"env":{"A":"\u0001","B":"\u0001","C":"\u0001","D":"\u0001\u0001","E":"\u0001\u0001","F":"\u0001\u0001","G":"\u0001\u0001","H":"\u0001\u0001"}}`), uint16(65520))
	f.Fuzz(func(t *testing.T, data []byte, more uint16) {
		o, err := parseObject(data)
		if err != nil {
			return
		}
		s, _ := parseSettings(data)
		// A fuzzer does not find long values by itself.
		grow := func(text, by string) string { return text + strings.Repeat(by, min(int(more), maxTotal/(len(by)+1))) }
		for key, value := range s.Env {
			s.Env[key] = Bytes(grow(string(value), string(value)))
		}
		if _, last, ok := strings.Cut(s.Command, " "); ok {
			s.Command = grow(s.Command, last)
		}
		if err := s.Check(); err != nil {
			if fail.CodeOf(err) != fail.Usage {
				t.Errorf("%.1000q: code %d: %v", data, fail.CodeOf(err), err)
			}
			return
		}
		if s.InForce() < 0 || s.InForce() > 65535 {
			t.Errorf("%.1000q: port %d", data, s.InForce())
		}
		for _, name := range []string{Default, "x", longest} {
			words, err := s.Words(name)
			if err != nil || len(words) == 0 || words[0] == "" || words[0][0] == '-' {
				t.Fatalf("%.1000q: %s is run by %.1000q, %v", data, name, words, err)
			}
			total := 0
			for _, key := range s.Keys() {
				words = append(words, key+"="+string(s.Env[key]))
			}
			for _, w := range words {
				if strings.Contains(w, "\x00") || len(w) >= maxString {
					t.Errorf("%.1000q: %s is given %d bytes %.1000q", data, name, len(w), w)
				}
				total += len(w) + 1
			}
			if total > maxTotal {
				t.Errorf("%.1000q: %s is given %d bytes", data, name, total)
			}
		}
		text, err := encode(s, nil)
		if err != nil {
			t.Fatalf("%.1000q: %v", data, err)
		}
		if len(text) > maxSettings {
			t.Errorf("%.1000q: written as %d bytes, which are not read", data, len(text))
		}
		again, err := parseSettings(text)
		if err != nil {
			t.Fatalf("%.1000q is written as %.1000q: %v", data, text, err)
		}
		if !s.Equal(&again) {
			t.Errorf("%.1000q is written as %.1000q", data, text)
		}
		// Keep the other keys that stood in the record.
		if text, err = encode(s, o); err != nil {
			t.Fatalf("%.1000q: %v", data, err)
		}
		again, err = parseSettings(text)
		if err != nil || !s.Equal(&again) {
			t.Fatalf("%.1000q is written as %.1000q: %v", data, text, err)
		}
		kept, err := parseObject(text)
		must.Do(t, err)
		for _, key := range o.keys() {
			if _, ours := s.fields()[key]; !ours && (kept.get(key) == nil || !bytes.Equal(o.raw(key), kept.raw(key))) {
				t.Fatalf("%.1000q is written as %.1000q without %q", data, text, key)
			}
		}
	})
}

// TestLargestRecord: of all the settings that pass, many small values that are not UTF-8 make
// the longest record.
func TestLargestRecord(t *testing.T) {
	s := Settings{Env: map[string]Bytes{}, Command: "x #" + strings.Repeat("\x01", maxString-4)}
	total := len("x") + 1
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789"
	for size := 1; size <= 3; size++ {
		for i := range 53 * 63 * 63 {
			key := string([]byte{digits[i%53], digits[i/53%63], digits[i/53/63]}[:size])
			if _, ok := s.Env[key]; ok || CheckKey(key) != nil {
				continue
			}
			if total += size + 3; total > maxTotal {
				break
			}
			s.Env[key] = "\xff"
		}
	}
	must.Do(t, s.Check())
	text, err := encode(s, nil)
	if err != nil || len(text) > maxSettings {
		t.Errorf("%d bytes are written, %d read, %v", len(text), maxSettings, err)
	}
}

var (
	nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	keyRule  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// oneLine reports whether err can be a message: one short line of printable characters.
func oneLine(err error) bool {
	s := err.Error()
	return len(s) < 500 && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}

// FuzzName checks each string as a profile's name and as an environment key.
func FuzzName(f *testing.F) {
	for _, s := range []string{"A", "_", "a1", "1a", "A-B", "A=", "É", "A\n", "UID", "OPTIND", "BASH_VERSINFO",
		"", "a", "0-_", "_a", "-a", "a\n", "\xff", "a/b", "..", "gateway-", "gateway-gateway-a", longest, longest + "x", longest[:200] + "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := CheckKey(s)
		if ok := keyRule.MatchString(s) && !slices.Contains(shellKeys, s); ok != (err == nil) {
			t.Errorf("%q: %v", s, err)
		}
		if err != nil && (fail.CodeOf(err) != fail.Usage || !oneLine(err)) {
			t.Errorf("%q: code %d: %v", s, fail.CodeOf(err), err)
		}
		err = CheckName(s)
		if ok := nameRule.MatchString(s) && len(s) <= len(longest); ok != (err == nil) {
			t.Errorf("%q: %v", s, err)
		}
		if err != nil && (fail.CodeOf(err) != fail.Usage || !oneLine(err)) {
			t.Errorf("%q: code %d: %v", s, fail.CodeOf(err), err)
		}
		if name, ok := FromSlot(Slot(s)); ok != (err == nil) || name != s {
			t.Errorf("%q: its slot is %q's, %v", s, name, ok)
		}
		if name, ok := FromSlot(s); ok && (Slot(name) != s || CheckName(name) != nil) {
			t.Errorf("%q is the slot of %q", s, name)
		}
		if err != nil {
			return
		}
		if port := DerivePort(s); !derivable(port) {
			t.Errorf("%q: port %d", s, port)
		}
		if root, err := Root("/h/" + profilesDir + "/" + s); err != nil || root != "/h" {
			t.Errorf("%q: the root is %q, %v", s, root, err)
		}
	})
}

// shellKeys are the well-formed keys that CheckKey refuses. FuzzRun of package slot asks the
// shells themselves.
var shellKeys = []string{"OPTIND", "PPID", "UID", "EUID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO"}
