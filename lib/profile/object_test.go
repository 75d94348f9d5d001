package profile

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/must"
)

// TestSetIntent: all that a gateway wrote stays, to the digit, except for two keys.
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
		// Python's json writes these beside valid JSON.
		`{"desired_state":"running","x":[NaN, Infinity,-Infinity],"s":"NaN\"Infinity"}`: `{"desired_state":"stopped","x":[NaN, Infinity,-Infinity],"s":"NaN\"Infinity","updated_at": 1700000000}`,
		`{"updated_at":NaN}`: `{"updated_at":1700000000,"desired_state": "stopped"}`,
		`{"Desired_State":"running","DESIRED_STATE":null}`: `{"Desired_State":"running","DESIRED_STATE":null,"desired_state": "stopped","updated_at": 1700000000}`,
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
	for _, bad := range []string{`[]`, `null`, `"x"`, `{`, `{"a":}`, `{} x`, `{}{}`, "{\"a\":\"\xff\"}", `{"a":1,}`, `7`,
		`{"a":nan}`, `{"a":NaNN}`, `{"a":+Infinity}`, `{"a":--Infinity}`, `{"a":-NaN}`, `{"a":1NaN}`, `{NaN:1}`, `NaN`, `{"a":Infinity1}`, `{"a":NaN NaN}`} {
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
		if v, err := parseValues(text); len(v) > 0 {
			o, e := parseObject(text)
			for key := range v {
				if e != nil || string(v[key]) != string(o.get(key)) {
					t.Fatalf("%q: %s, %v; %v", text, key, err, e)
				}
			}
		}
		if o, err := parseObject(text); err == nil && len(o.values) > 0 {
			if err := json.Unmarshal(withoutNaN(bytes.TrimPrefix(text, bom)), &before); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			for key := range o.values {
				less, err := parseObject(o.delete(key))
				if err != nil || len(less.values) != len(o.values)-1 || less.get(key) != nil {
					t.Fatalf("%q without %q is %q: %v", text, key, o.delete(key), err)
				}
				for k := range less.values {
					if string(less.get(k)) != string(o.get(k)) {
						t.Errorf("%q without %q is %q", text, key, o.delete(key))
					}
				}
			}
		}
		if err := json.Unmarshal(withoutNaN(bytes.TrimPrefix(got, bom)), &after); err != nil {
			t.Fatalf("%q became %q: %v", text, got, err)
		}
		for key, value := range before {
			if key != "desired_state" && key != "updated_at" && string(after[key]) != string(value) {
				t.Errorf("%q became %q: %s", text, got, key)
			}
		}
	})
}

// TestDelete: deleting a key also deletes one comma, and nothing else.
func TestDelete(t *testing.T) {
	for _, c := range []struct{ text, key, want string }{
		{`{"a": 1}`, "a", `{}`},
		{`{"a": 1}`, "b", `{"a": 1}`},
		{"\ufeff{\n  \"a\": NaN,\n  \"b\": \"a\",\n  \"c\": {\"a\": 1}\n}\n", "a", "\ufeff{\n  \"b\": \"a\",\n  \"c\": {\"a\": 1}\n}\n"},
		{"{\n  \"a\": 1,\n  \"b\": 2\n}\n", "b", "{\n  \"a\": 1\n}\n"},
		{`{"a":1,"b":2,"\u0061":3,"c":4}`, "a", `{"b":2,"c":4}`},
		{`{"b":2,"a":1 , "a":3}`, "a", `{"b":2}`},
	} {
		o, err := parseObject([]byte(c.text))
		must.Do(t, err)
		if got := string(o.delete(c.key)); got != c.want {
			t.Errorf("%q without %q is %q, want %q", c.text, c.key, got, c.want)
		}
	}
}

// TestSelf: what the root profile's gateway says of others is believed only if that gateway is
// the one that runs.
func TestSelf(t *testing.T) {
	v, err := parseValues([]byte(`{"pid":7,"start_time":9,"gateway_state":"running","active_agents":2.0,"exit_reason":5,
		"platforms":{"b":{"state":"up","error_message":" slow ","needs_attention":"x"},"a":3,"c":{"state":[],"needs_attention":true},"a":{"needs_attention":"call"}}}`))
	must.Do(t, err)
	s := selfOf(v)
	want := []Platform{{"a", "", "call"}, {"b", "up", "slow"}, {"c", "", "it needs attention"}}
	if !slices.Equal(s.Platforms, want) || s.ActiveAgents != 2 || s.ExitReason != "" || !s.Serves() {
		t.Errorf("%+v", s)
	}
	for target, by := range map[Target]bool{{7, 9}: true, {7, 0}: false, {7, 8}: false, {8, 9}: false, {0, 0}: false} {
		if s.By(target) != by {
			t.Errorf("by %v: %v", target, !by)
		}
	}
	if (&Self{}).By(Target{}) || s.Is(Target{7, 9}) {
		t.Error("nobody wrote it, or no gateway did")
	}
}

func TestServed(t *testing.T) {
	target := Target{PID: 7, Start: 100}
	for text, want := range map[string]bool{
		`{"pid":7,"start_time":100,"served_profiles":["default","coder"]}`: true,
		`{"pid":7,"start_time":null,"served_profiles":["coder"],"x":NaN}`:  true,
		`{"pid":7,"served_profiles":["coder"]}`:                            true,
		`{"pid":8,"start_time":100,"served_profiles":["coder"]}`:           false,
		`{"pid":7,"start_time":101,"served_profiles":["coder"]}`:           false,
		`{"pid":7,"start_time":"100","served_profiles":["coder"]}`:         false,
		`{"pid":7,"start_time":100,"served_profiles":["writer"]}`:          false,
		`{"pid":7,"start_time":100,"served_profiles":"coder"}`:             false,
		`{"pid":7,"start_time":100,"Served_Profiles":["coder"]}`:           false,
		`{"served_profiles":["coder"]}`:                                    false,
		`[]`:                                                               false,
	} {
		served := parseServed([]byte(text), target)
		if served["coder"] != want || served[Default] {
			t.Errorf("%s: %v", text, served)
		}
	}
}

// get returns the value of key, or nil if there is none.
func (o *object) get(key string) json.RawMessage {
	at, ok := o.values[key]
	if !ok {
		return nil
	}
	return json.RawMessage(o.json[at.from-o.skip : at.to-o.skip])
}
