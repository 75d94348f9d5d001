package profile

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Whatever a gateway wrote stays as it is, to the digit, but for two keys.
func TestSetIntent(t *testing.T) {
	now := time.Unix(1700000000, 5)
	for text, want := range map[string]string{
		``:         `{"desired_state": "stopped","updated_at": 1700000000}`,
		"  \n":     `{"desired_state": "stopped","updated_at": 1700000000}`,
		`{}`:       `{"desired_state": "stopped","updated_at": 1700000000}`,
		`{"a": 1}`: `{"a": 1,"desired_state": "stopped","updated_at": 1700000000}`,
		`{"desired_state":"running","n":12345678901234567890.10e+5 , "updated_at" : 1.5}`: `{"desired_state":"stopped","n":12345678901234567890.10e+5 , "updated_at" : 1700000000}`,
		"{\n  \"pid\": 7,\n  \"x\": {\"desired_state\": 1}\n}\n":                          "{\n  \"pid\": 7,\n  \"x\": {\"desired_state\": 1},\n  \"desired_state\": \"stopped\",\n  \"updated_at\": 1700000000\n}\n",
		"\ufeff{\"desired_state\":null,\"b\":\"\\u00e9\ufeff\"}":                          "\ufeff{\"desired_state\":\"stopped\",\"b\":\"\\u00e9\ufeff\",\"updated_at\": 1700000000}",
		`{"desired_state":1,"desired_state":"running"}`:                                   `{"desired_state":1,"desired_state":"stopped","updated_at": 1700000000}`,
		`{"\u0064esired_state":"running"}`:                                                `{"\u0064esired_state":"stopped","updated_at": 1700000000}`,
	} {
		got, err := setIntent([]byte(text), Stopped, now, func([]byte) error { return nil })
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if strings.TrimSuffix(string(got), "\n") != strings.TrimSuffix(want, "\n") {
			t.Errorf("%q\n is %q\nwant %q", text, got, want)
		}
		if s, err := parseState(got); err != nil || s.Desired != Stopped {
			t.Errorf("%q: %v, %v", got, s, err)
		}
	}
	for _, bad := range []string{`[]`, `null`, `"x"`, `{`, `{"a":}`, `{} x`, `{}{}`, "{\"a\":\"\xff\"}", `{"a":1,}`, `7`} {
		if got, err := setIntent([]byte(bad), Stopped, now, func([]byte) error { return nil }); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func FuzzSetIntent(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, "\ufeff{ \"desired_state\" : [1,{}] }", `{"a":"}","b":{"c":null}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := setIntent(text, Running, time.Unix(1, 0), func([]byte) error { return nil })
		if err != nil {
			return
		}
		var before, after map[string]json.RawMessage
		if o, err := parseObject(text); err == nil && len(o.values) > 0 {
			if err := json.Unmarshal(bytes.TrimPrefix(text, bom), &before); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		if err := json.Unmarshal(bytes.TrimPrefix(got, bom), &after); err != nil {
			t.Fatalf("%q became %q: %v", text, got, err)
		}
		for key, value := range before {
			if key != "desired_state" && key != "updated_at" && string(after[key]) != string(value) {
				t.Errorf("%q became %q: %s", text, got, key)
			}
		}
	})
}
