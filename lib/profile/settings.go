package profile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"hermes-s6/lib/fail"
)

// A Dialect is the language of a slot's scripts.
type Dialect string

const (
	Sh       Dialect = "sh"
	Execline Dialect = "execline"
)

// Settings are what was asked for when a gateway was registered, as recorded in
// gateway_service.json. The zero value asks for nothing special.
type Settings struct {
	// Port is the port that was asked for, 0 for none.
	Port int `json:"port,omitempty"`
	// DerivedPort is the port that was found for a profile that asked for none. It is recorded
	// because it depends on which profile came first.
	DerivedPort int `json:"derived_port,omitempty"`
	// Env is added to the gateway's environment.
	Env map[string]Bytes `json:"env,omitempty"`
	// Command is the gateway's command line, before it is split as a shell splits words. ""
	// means the default.
	Command string `json:"command,omitempty"`
	// Dialect defaults to sh if empty.
	Dialect Dialect `json:"dialect,omitempty"`
}

// parseSettings parses the text of a record. Keys are compared exactly, as other JSON readers
// do. Unknown keys are ignored. Any error is about the content.
func parseSettings(text []byte) (s Settings, err error) {
	v, err := parseValues(text)
	if err != nil {
		return s, err
	}
	for key, to := range s.fields() {
		if err := v.read(key, to); err != nil {
			return Settings{}, err
		}
	}
	if err := s.Check(); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// fields maps the keys of a record of ours to their values in s.
func (s *Settings) fields() map[string]any {
	return map[string]any{"port": &s.Port, "derived_port": &s.DerivedPort, "env": &s.Env, "command": &s.Command, "dialect": &s.Dialect}
}

// Equal reports whether s and t ask for the same.
func (s *Settings) Equal(t *Settings) bool {
	return s.Port == t.Port && s.DerivedPort == t.DerivedPort && s.Command == t.Command && s.Dialect == t.Dialect && maps.Equal(s.Env, t.Env)
}

// encode returns the text of a record of s. It keeps the other keys of old, which may be nil,
// byte for byte.
func encode(s Settings, old *object) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil || old == nil {
		return buf.Bytes(), err
	}
	o, err := parseObject(buf.Bytes())
	if err != nil {
		return nil, err
	}
	o.indent = []byte("\n  ") // {} has none
	ours := s.fields()
	var more [][]byte
	for _, key := range old.keys() {
		if _, is := ours[key]; !is {
			more = append(more, o.member(key, old.raw(key)))
		}
	}
	if len(more) == 0 {
		return buf.Bytes(), nil
	}
	if len(o.values) > 0 {
		more[0] = append([]byte(","), more[0]...)
	}
	return slices.Concat(o.text[:o.end], bytes.Join(more, []byte(",")), []byte("\n}\n")), nil
}

// maxString is the longest string that execve(2) accepts (MAX_ARG_STRLEN, counting the NUL).
// maxTotal bounds all of them together and leaves room for the rest of the environment (the
// kernel allows a quarter of the stack limit, usually 8 MiB).
const (
	maxString = 32 * 4096
	maxTotal  = 1 << 20
)

// Check returns why no slot can be made of s, or nil. It must pass before s is written and
// again after it was read, because the file belongs to the account.
func (s *Settings) Check() error {
	if s.Port < 0 || s.Port > 65535 {
		return fail.Errorf(fail.Usage, "invalid port %d: must be 1 to 65535", s.Port)
	}
	if s.DerivedPort != 0 && !derivable(s.DerivedPort) {
		return fail.Errorf(fail.Usage, "invalid derived port %d: must be %d to %d", s.DerivedPort, firstPort, firstPort+ports-1)
	}
	if s.Dialect != "" && s.Dialect != Sh && s.Dialect != Execline {
		return fail.Errorf(fail.Usage, "invalid dialect %s: must be sh or execline", clip(string(s.Dialect)))
	}
	total := 0
	for _, key := range s.Keys() {
		if err := CheckKey(key); err != nil {
			return err
		}
		n, err := checkString("value of "+key, key+"="+string(s.Env[key]))
		if err != nil {
			return err
		}
		total += n
	}
	// Check the unsplit command, which is one argument. Below, a comment in it counts nothing.
	if _, err := checkString("command", s.Command); err != nil {
		return err
	}
	// Check it with the longest name, so that it passes for every profile.
	words, err := s.Words(strings.Repeat("x", maxName))
	if err != nil {
		return err
	}
	for _, w := range words {
		n, err := checkString("word of the command", w)
		if err != nil {
			return err
		}
		total += n
	}
	if total > maxTotal {
		return fail.Errorf(fail.Usage, "environment and command too large: %d bytes; a program can be given %d", total, maxTotal)
	}
	return nil
}

func checkString(what, s string) (int, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return 0, fail.Errorf(fail.Usage, "invalid %s: contains a NUL byte", what)
	}
	if len(s)+1 > maxString {
		return 0, fail.Errorf(fail.Usage, "invalid %s: longer than %d bytes, the most a program can be given", what, maxString-1)
	}
	return len(s) + 1, nil
}

// InForce returns the port in force for s, 0 while it has none.
func (s *Settings) InForce() int {
	if s.Port != 0 {
		return s.Port
	}
	return s.DerivedPort
}

// Keys returns the keys of s.Env in the order in which they are exported.
func (s *Settings) Keys() []string {
	return slices.Sorted(maps.Keys(s.Env))
}

// Words returns the command line of profile name's gateway. "{profile}" is replaced after the
// command was split, so that it stays inside its word.
func (s *Settings) Words(name string) ([]string, error) {
	if s.Command == "" {
		if name == Default {
			return []string{"hermes", "gateway", "run", "--replace"}, nil
		}
		return []string{"hermes", "-p", name, "gateway", "run", "--replace"}, nil
	}
	if !utf8.ValidString(s.Command) {
		return nil, fail.Errorf(fail.Usage, "invalid command: not UTF-8") // shlex would not preserve it
	}
	words, err := split(s.Command)
	if err != nil {
		return nil, fail.Errorf(fail.Usage, "invalid command: %w", err)
	}
	if len(words) == 0 || words[0] == "" {
		return nil, fail.Errorf(fail.Usage, "invalid command: empty")
	}
	if words[0][0] == '-' {
		return nil, fail.Errorf(fail.Usage, "invalid command: the program's name begins with '-'")
	}
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, "{profile}", name)
	}
	return words, nil
}

// Bytes is a string that survives JSON whatever it holds: it is a JSON string if it is UTF-8,
// else {"base64": "…"}.
type Bytes string

// base64Key is the only key of the object that stands for bytes that are not UTF-8.
const base64Key = "base64"

// MarshalJSON implements json.Marshaler.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(b)) {
		// json.Marshal would write < as \u003c.
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		err := enc.Encode(string(b))
		return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
	}
	return json.Marshal(map[string]string{base64Key: base64.StdEncoding.EncodeToString([]byte(b))})
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var e map[string]string // not a struct, whose keys match regardless of case
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		raw, err := base64.StdEncoding.DecodeString(e[base64Key])
		*b = Bytes(raw)
		return err
	}
	return json.Unmarshal(data, (*string)(b))
}
