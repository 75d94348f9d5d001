package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// bom is a byte order mark, which the gateway's Python writes on some hosts.
var bom = []byte("\ufeff")

var (
	errNotUTF8   = errors.New("not UTF-8")
	errNotObject = errors.New("not an object")
)

// An object is the text of a JSON object and where in it the values stand, so
// that a value can be changed and every other byte stays as it is.
type object struct {
	text   []byte
	values map[string]span // of a key that is repeated the last, as everywhere
	end    int             // behind the last value, or the opening brace
	indent []byte          // what stands before the first key
}

// A span is where in a text something stands.
type span struct{ from, to int }

// parseObject reads text, which may begin with a byte order mark.
func parseObject(text []byte) (*object, error) {
	skip := len(text) - len(bytes.TrimPrefix(text, bom))
	body := text[skip:]
	if !utf8.Valid(body) {
		return nil, errNotUTF8
	}
	// What follows relies on it: a Decoder that reads token by token does not
	// look at commas.
	if err := json.Unmarshal(body, new(skipped)); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotObject
	}
	o := &object{text: text, values: map[string]span{}, end: skip + int(dec.InputOffset())}
	for o.indent = leadingSpace(text[o.end:]); dec.More(); {
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
	}
	return o, nil
}

// skipped is for any JSON, checked and thrown away.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

func leadingSpace(text []byte) []byte {
	return text[:len(text)-len(bytes.TrimLeft(text, " \t\r\n"))]
}

// raw returns the value of key as it stands, nil where there is none.
func (o *object) raw(key string) []byte {
	at := o.values[key]
	return o.text[at.from:at.to]
}

// get reads the value of key, if there is one, into what to points to. The error
// names the key.
func (o *object) get(key string, to any) error {
	if _, ok := o.values[key]; !ok {
		return nil
	}
	if err := json.Unmarshal(o.raw(key), to); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// keys lists the keys in the order of their values.
func (o *object) keys() []string {
	return slices.SortedFunc(maps.Keys(o.values), func(a, b string) int { return o.values[a].from - o.values[b].from })
}

// set gives key a value and returns the text with it.
func (o *object) set(key string, value any) ([]byte, error) {
	v, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	at, ok := o.values[key]
	if !ok {
		at = span{o.end, o.end}
		name, _ := json.Marshal(key)
		v = slices.Concat(o.indent, name, []byte(": "), v)
		if len(o.values) > 0 {
			v = append([]byte(","), v...)
		}
	}
	return slices.Concat(o.text[:at.from], v, o.text[at.to:]), nil
}
