package profile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A yamlScan finds booleans in the text of a config.yaml. The account writes that file and
// root reads it at boot. So the scan passes over the text once, byte by byte, and keeps only
// the current nesting: its cost is bounded by the length of the text.
//
// It answers as PyYAML (YAML 1.1) would, for the subset that people and PyYAML itself write:
// one document with a block mapping at the top, inside it block mappings and sequences,
// scalars of all five styles, also over several lines, flow collections, comments, and an
// anchor or an alias as a value. A wanted key stands at the top level or one level below. If
// it is repeated, the last one counts. Its value is a plain scalar on the same line.
//
// It does not support, and returns an error for: tags, explicit keys ("? key"), a second
// document, a flow mapping at the top or one that could hold a wanted key, merge keys that
// could bring one, escapes in a key's name, a value of a wanted key that is an alias, an
// anchor, quoted, or anything but a boolean or null, tabs outside quotes, other kinds of line
// breaks, nesting over maxDepth, and invalid YAML where it notices that. After an error a home
// has nothing started but the root profile's gateway, a profile counts as neither standalone
// nor parked, and a message says where the scan stopped. The scan does not detect all invalid
// YAML. For such a text, which Hermes cannot read either, it may return anything.
//
// A text that contains neither the name of a wanted key nor an escape that could spell one is
// not scanned: whatever it is, it has no such key.
type yamlScan struct {
	text   []byte // ends with a newline
	pos    int
	start  int // of the line
	keys   []string
	values map[string]bool
	levels []yamlLevel
	open   openNode
	marked bool
	// section is the top-level key whose value is being read. tracked is the key whose value
	// comes next, "" if it is not a wanted one.
	section, tracked string
}

// A yamlLevel is a block mapping or sequence that has not ended.
type yamlLevel struct {
	column   int
	sequence bool
	flush    bool // a sequence whose dashes stand in the column of its mapping's keys
}

// An openNode is what the lines so far leave for the following lines to continue.
type openNode int

const (
	nothing openNode = iota
	wanted           // a value that has not begun
	plain            // a plain scalar, which may continue
)

// maxDepth is the deepest nesting that is read.
const maxDepth = 100

// yamlBools reports which of keys, NAME or SECTION.NAME, are true in text. An error means that
// it cannot be decided.
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

// mayHold reports whether text can contain one of keys. A name that does not occur in it could
// still be spelled with escapes in quotes. Most files have neither.
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

// yamlLines normalizes the bytes and line ends of text. PyYAML refuses some characters and
// treats others as line ends; yamlLines refuses both.
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

// notUnderstood is the error that ends a scan.
func notUnderstood(what string) error { return fmt.Errorf("%s, which is not understood here", what) }

// line reads a line, and the lines on which its last value continues.
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

// top returns the innermost block that has not ended.
func (y *yamlScan) top() yamlLevel {
	if len(y.levels) == 0 {
		return yamlLevel{column: -1}
	}
	return y.levels[len(y.levels)-1]
}

// push begins a block. It is an error if the block is the value of a wanted key, except for
// the mapping that a section is.
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

// isSection reports whether a wanted key is below name.
func (y *yamlScan) isSection(name string) bool {
	return slices.ContainsFunc(y.keys, func(key string) bool { return strings.HasPrefix(key, name+".") })
}

// node reads what begins here: dashes, a key, a value. fresh says that it is the value of what
// came before, not the next entry of a block.
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

// enter records key name, which has just been read.
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
	// An earlier key of the same name does not count.
	delete(y.values, path)
	for _, key := range y.keys {
		if strings.HasPrefix(key, path+".") {
			delete(y.values, key)
		}
	}
	return nil
}
