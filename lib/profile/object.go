package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// bom is a byte order mark, which Python writes before the gateway's state on some hosts.
var bom = []byte("\ufeff")

var (
	errNotUTF8   = errors.New("not UTF-8")
	errNotObject = errors.New("not an object")
)

// An object is the text of a JSON object and the positions of its values, so that a value can
// be changed while every other byte stays. Keys are compared exactly. If a key is repeated,
// the last one counts, as in other JSON readers.
type object struct {
	text    []byte
	json    []byte // text as encoding/json takes it, without byte order mark
	skip    int    // length of the byte order mark
	values  map[string]span
	members []member
	end     int    // behind the last value, or the opening brace
	indent  []byte // what stands before the first key
}

// A member is a key and the positions of the key and its value.
type member struct {
	key string
	span
}

// A span is a range of a text.
type span struct{ from, to int }

// values are the values of a JSON object that is only read, which takes a third of the work of
// an object. Keys are compared exactly. If a key is repeated, the last one counts.
type values map[string]json.RawMessage

// parseValues parses text as parseObject does.
func parseValues(text []byte) (v values, err error) {
	body, _, err := jsonOf(text)
	if err != nil {
		return nil, err
	}
	var other *json.UnmarshalTypeError
	if err = json.Unmarshal(body, &v); errors.As(err, &other) || err == nil && v == nil {
		return nil, errNotObject
	}
	return v, err
}

// read stores the value of key, if there is one, in what to points to. The error names the key.
func (v values) read(key string, to any) error {
	value := v[key]
	if value == nil {
		return nil
	}
	if err := json.Unmarshal(value, to); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// jsonOf returns text as encoding/json takes it, and the length of the byte order mark that
// preceded it.
func jsonOf(text []byte) (body []byte, skip int, err error) {
	if !utf8.Valid(text) {
		return nil, 0, errNotUTF8
	}
	body = bytes.TrimPrefix(text, bom)
	return withoutNaN(body), len(text) - len(body), nil
}

// parseObject parses text, which may begin with a byte order mark.
func parseObject(text []byte) (*object, error) {
	body, skip, err := jsonOf(text)
	if err != nil {
		return nil, err
	}
	// The code below relies on this check: a Decoder that reads token by token ignores commas.
	if err := json.Unmarshal(body, new(skipped)); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotObject
	}
	o := &object{text: text, json: body, skip: skip, values: map[string]span{}, end: skip + int(dec.InputOffset())}
	for o.indent = leadingSpace(text[o.end:]); dec.More(); {
		from := o.end + bytes.IndexByte(text[o.end:], '"')
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		o.end = skip + int(dec.InputOffset())
		o.values[key.(string)] = span{o.end - len(value), o.end}
		o.members = append(o.members, member{key.(string), span{from, o.end}})
	}
	return o, nil
}

// withoutNaN returns text with each NaN, Infinity and -Infinity replaced by a number of the
// same length: Python reads and writes them, encoding/json does not. Elsewhere, except in
// strings, they are no valid JSON either and are left.
func withoutNaN(text []byte) []byte {
	if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
		return text
	}
	text = bytes.Clone(text)
	edge := func(i int) bool {
		return i < 0 || i >= len(text) || strings.IndexByte(" \t\r\n,:[]{}", text[i]) >= 0
	}
	inString := false
	for i := 0; i < len(text); i++ {
		if text[i] == '"' {
			inString = !inString
		}
		if inString {
			if text[i] == '\\' {
				i++
			}
			continue
		}
		before := i - 1
		switch {
		case bytes.HasPrefix(text[i:], []byte("NaN")):
			if edge(before) && edge(i+len("NaN")) {
				copy(text[i:], "100")
			}
		case bytes.HasPrefix(text[i:], []byte("Infinity")):
			if before >= 0 && text[before] == '-' {
				before--
			}
			if edge(before) && edge(i+len("Infinity")) {
				copy(text[i:], "10000000")
			}
		}
	}
	return text
}

// skipped accepts any JSON: it is checked and thrown away.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

func leadingSpace(text []byte) []byte {
	return text[:len(text)-len(bytes.TrimLeft(text, " \t\r\n"))]
}

// delete returns the text without every occurrence of key and the commas that would remain.
func (o *object) delete(key string) []byte {
	if _, ok := o.values[key]; !ok {
		return o.text
	}
	text := slices.Clone(o.text[:o.members[0].from])
	first := true
	for i, m := range o.members {
		if m.key == key {
			continue
		}
		if !first {
			text = append(text, o.text[o.members[i-1].to:m.from]...)
		}
		text = append(text, o.text[m.from:m.to]...)
		first = false
	}
	return append(text, o.text[o.end:]...)
}

// raw returns the value of key as it stands in the text. The key must exist.
func (o *object) raw(key string) []byte { return o.text[o.values[key].from:o.values[key].to] }

// member returns the text of key and value, preceded by what stands before a key in o.
func (o *object) member(key string, value []byte) []byte {
	name, _ := json.Marshal(key)
	return slices.Concat(o.indent, name, []byte(": "), value)
}

// keys lists the keys in the order of their values.
func (o *object) keys() []string {
	return slices.SortedFunc(maps.Keys(o.values), func(a, b string) int { return o.values[a].from - o.values[b].from })
}

// set gives key a value and returns the new text.
func (o *object) set(key string, value any) ([]byte, error) {
	v, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	at, ok := o.values[key]
	if !ok {
		at = span{o.end, o.end}
		v = o.member(key, v)
		if len(o.values) > 0 {
			v = append([]byte(","), v...)
		}
	}
	return slices.Concat(o.text[:at.from], v, o.text[at.to:]), nil
}
