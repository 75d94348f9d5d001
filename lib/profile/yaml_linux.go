package profile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A yamlScan finds booleans in the text of a config.yaml. The account writes that file,
// and root reads it at boot, so it goes over the text once, byte by byte, and keeps
// nothing but how deep it is: what it takes is bounded by the text's length.
//
// It answers what PyYAML (YAML 1.1) would, of which it understands what people and
// PyYAML itself write: one document, a block mapping at the top, in it block mappings
// and sequences, scalars of all five styles, over several lines as well, flow
// collections, comments, an anchor or an alias as a value. A key that is looked for
// stands at the top, or one level below a key at the top; of one that is repeated the
// last counts. Its value is a plain scalar on its line.
//
// It does not understand, and says so by an error: tags, explicit keys ("? key"), a
// second document, a flow mapping at the top or one that could hold a key that is
// looked for, merge keys where they could bring one, escapes in a key's name, an alias,
// an anchor, a quoted or any other value than a boolean or null of a key that is
// looked for, tabs outside of quotes, line breaks of other kinds, nesting over
// maxDepth, and what is no YAML where it comes upon that. Then a home is taken to have
// nothing started but the root profile's gateway, a profile to be neither standalone
// nor parked, and a line says where it stopped. It does not find all that is no YAML: of
// such a text, which Hermes cannot read either, it may say anything.
//
// A text in which no name of a key that is looked for stands, nor an escape that could
// make one, is not looked at: whatever it is, it has none.
type yamlScan struct {
	text   []byte // ends with a newline
	pos    int
	start  int // of the line
	keys   []string
	values map[string]bool
	levels []yamlLevel
	open   openNode
	marked bool
	// section is the key at the top whose value is being read. tracked is the key
	// whose value comes next, "" where nobody asks for it.
	section, tracked string
}

// A yamlLevel is a block mapping or sequence that has not ended.
type yamlLevel struct {
	column   int
	sequence bool
	flush    bool // a sequence whose dashes stand where its mapping's keys do
}

// An openNode is what the lines so far leave to those that follow.
type openNode int

const (
	nothing openNode = iota
	wanted           // a value that has not begun
	plain            // a plain scalar, which may go on
)

// maxDepth is how deep what we read may be nested.
const maxDepth = 100

// yamlBools tells which of keys, NAME or SECTION.NAME, are true in text. An error
// means that it cannot be decided.
func yamlBools(text []byte, keys ...string) (map[string]bool, error) {
	if !mayHold(text, keys) {
		return nil, nil
	}
	text, err := yamlLines(text)
	if err != nil {
		return nil, err
	}
	y := &yamlScan{text: text, keys: keys, values: map[string]bool{}, open: wanted}
	for y.pos < len(y.text) {
		from := y.pos
		y.start = from
		if err := y.line(); err != nil {
			return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(y.text[:from], []byte("\n")), err)
		}
	}
	return y.values, nil
}

// mayHold tells whether text can have one of keys. A name that is nowhere in it could
// still be written with escapes, in quotes; in most files there is neither.
func mayHold(text []byte, keys []string) bool {
	for _, escape := range []string{`\x`, `\u`, `\U`, "\\\n", "\\\r"} {
		if bytes.Contains(text, []byte(escape)) {
			return true
		}
	}
	return slices.ContainsFunc(keys, func(key string) bool {
		return bytes.Contains(text, []byte(key[strings.LastIndexByte(key, '.')+1:]))
	})
}

// yamlLines returns text without what only a reader of bytes has to do with. PyYAML
// refuses some characters, and takes others for the end of a line: so do not we.
func yamlLines(text []byte) ([]byte, error) {
	text = bytes.ReplaceAll(bytes.TrimPrefix(text, bom), []byte("\r\n"), []byte("\n"))
	if !utf8.Valid(text) {
		return nil, errNotUTF8
	}
	for _, c := range string(text) {
		switch {
		case c == '\n', c == '\t', c >= ' ' && c < 0x7f:
		case c < 0xa0, c == '\u2028', c == '\u2029', c == '\ufeff', c == '\ufffe', c == '\uffff':
			return nil, fmt.Errorf("the character %U", c)
		}
	}
	return append(text[:len(text):len(text)], '\n'), nil
}

// notUnderstood is what ends a scan.
func notUnderstood(what string) error { return fmt.Errorf("%s, which is not understood here", what) }

// line reads a line, and those that the last value on it goes on to.
func (y *yamlScan) line() error {
	y.spaces()
	column := y.pos - y.start
	dash := y.at('-') && y.blankAt(y.pos+1)
	switch top := y.top(); {
	case y.at('\n'):
		y.pos++
		return nil
	case y.at('#'):
		if y.open == plain {
			y.open = nothing
		}
		return y.endOfLine()
	case y.marker():
		if y.marked || len(y.levels) > 0 || !y.at('-') {
			return notUnderstood("a second document")
		}
		y.marked = true
		y.pos += len("---")
		return y.endOfLine()
	case y.open == plain && column > top.column:
		if y.tracked != "" {
			return notUnderstood(y.tracked + " over several lines")
		}
		return y.plain()
	case y.open == wanted && column > top.column:
		return y.node(dash, true)
	case y.open == wanted && column == top.column && dash && !top.sequence:
		if err := y.push(yamlLevel{column, true, true}); err != nil {
			return err
		}
		return y.node(dash, false)
	}
	for top := y.top(); top.column > column || top.column == column && top.flush && !dash; top = y.top() {
		y.levels = y.levels[:len(y.levels)-1]
	}
	if top := y.top(); top.column != column || top.sequence != dash {
		return notUnderstood("the indentation")
	}
	return y.node(dash, false)
}

// top is the innermost block that has not ended.
func (y *yamlScan) top() yamlLevel {
	if len(y.levels) == 0 {
		return yamlLevel{column: -1}
	}
	return y.levels[len(y.levels)-1]
}

// push begins a block. That it is the value of a key that is looked for is an error,
// but for the mapping that a section is.
func (y *yamlScan) push(l yamlLevel) error {
	switch {
	case len(y.levels) == maxDepth:
		return notUnderstood("deeper nesting")
	case y.tracked != "" && (l.sequence || !y.isSection(y.tracked)):
		return notUnderstood("the value of " + y.tracked)
	case len(y.levels) == 0 && l.sequence:
		return notUnderstood("a list")
	}
	y.levels = append(y.levels, l)
	return nil
}

// isSection tells whether a key that is looked for stands below name.
func (y *yamlScan) isSection(name string) bool {
	return slices.ContainsFunc(y.keys, func(key string) bool { return strings.HasPrefix(key, name+".") })
}

// node reads what begins here: dashes, a key, a value. fresh tells that it is the value
// of what came before, and not the next entry of a block.
func (y *yamlScan) node(dash, fresh bool) error {
	for ; dash; dash = y.at('-') && y.blankAt(y.pos+1) {
		if fresh {
			if err := y.push(yamlLevel{column: y.pos - y.start, sequence: true}); err != nil {
				return err
			}
		}
		y.pos++
		if y.spaces(); y.ends() {
			y.open = wanted
			return y.endOfLine()
		}
		fresh = true
	}
	column := y.pos - y.start
	name, isKey, err := y.key()
	switch {
	case err != nil:
		return err
	case isKey && fresh:
		err = y.push(yamlLevel{column: column})
	case !isKey && (!fresh || len(y.levels) == 0):
		return notUnderstood("something that is no key")
	case !isKey && y.tracked != "":
		return notUnderstood("the value of " + y.tracked)
	}
	if err == nil && isKey {
		err = y.enter(name)
	}
	if err != nil {
		return err
	}
	if isKey {
		if y.spaces(); y.ends() {
			y.open = wanted
			return y.endOfLine()
		}
	}
	return y.value()
}

// enter takes note of key name, which has just been read.
func (y *yamlScan) enter(name string) error {
	path := name
	switch {
	case len(y.levels) == 1:
		y.section = name
	case len(y.levels) == 2 && !y.levels[1].sequence && y.isSection(y.section):
		path = y.section + "." + name
	default:
		y.tracked = ""
		return nil
	}
	if name == "<<" || strings.Contains(name, `\`) {
		return notUnderstood("the key " + name)
	}
	y.tracked = ""
	if slices.Contains(y.keys, path) || y.isSection(path) {
		y.tracked = path
	}
	// What an earlier one of the same name said does not count.
	delete(y.values, path)
	for _, key := range y.keys {
		if strings.HasPrefix(key, path+".") {
			delete(y.values, key)
		}
	}
	return nil
}
