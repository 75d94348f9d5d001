package profile

import (
	"bytes"
	"strings"
)

// yamlWord returns the value of a plain scalar if it is a boolean or null, which counts as
// false, in YAML 1.1 as PyYAML reads it. To PyYAML y and n are text, and YES is a boolean but
// yEs is not.
func yamlWord(word string) (value, ok bool) {
	switch word {
	case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return true, true
	case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "~", "null", "Null", "NULL":
		return false, true
	}
	return false, false
}

// maxKey is less than the distance that PyYAML looks ahead for the colon after a key.
const maxKey = 1000

func (y *yamlScan) at(c byte) bool { return y.pos < len(y.text) && y.text[y.pos] == c }

// blankAt reports whether a space or the end of the line is at i.
func (y *yamlScan) blankAt(i int) bool {
	return i >= len(y.text) || y.text[i] == ' ' || y.text[i] == '\n'
}

func (y *yamlScan) spaces() {
	for y.at(' ') {
		y.pos++
	}
}

// ends reports whether nothing but a comment follows on this line.
func (y *yamlScan) ends() bool {
	return y.pos >= len(y.text) || y.at('\n') || y.at('#') && (y.pos == y.start || y.text[y.pos-1] == ' ')
}

// endOfLine skips the rest of this line, which may hold nothing but a comment.
func (y *yamlScan) endOfLine() error {
	if y.spaces(); !y.ends() {
		return notUnderstood("what follows on the line")
	}
	if i := bytes.IndexByte(y.text[y.pos:], '\n'); i >= 0 {
		y.pos += i + 1
		return nil
	}
	y.pos = len(y.text)
	return nil
}

// marker reports whether a document marker begins here, at the start of a line.
func (y *yamlScan) marker() bool {
	rest := y.text[y.pos:]
	return y.pos == y.start && (bytes.HasPrefix(rest, []byte("---")) || bytes.HasPrefix(rest, []byte("..."))) &&
		(y.blankAt(y.pos+3) || y.text[y.pos+3] == '\t')
}

// newline continues with the next line inside a value.
func (y *yamlScan) newline() error {
	y.pos++
	if y.start = y.pos; y.marker() {
		return notUnderstood("a second document")
	}
	return nil
}

// key reads a key and its colon. If there is no key it returns false and reads nothing.
func (y *yamlScan) key() (name string, is bool, err error) {
	from, start := y.pos, y.start
	if y.at('"') || y.at('\'') {
		if err := y.quoted(); err != nil {
			return "", false, err
		}
		name = string(y.text[from+1 : y.pos-1])
		if y.start != start {
			name = ""
		}
	} else if err := y.plainStart(); err != nil {
		return "", false, nil // value reports it
	} else {
		for !y.ends() && !(y.at(':') && y.blankAt(y.pos+1)) {
			y.pos++
		}
		name = strings.TrimRight(string(y.text[from:y.pos]), " ")
	}
	oneLine := y.start == start
	y.spaces()
	if oneLine && y.at(':') && y.blankAt(y.pos+1) {
		if y.pos-from > maxKey || strings.Contains(name, "\t") {
			return "", false, notUnderstood("a key this long, or with a tab")
		}
		y.pos++
		return name, true, nil
	}
	y.pos, y.start = from, start
	return "", false, nil
}

// plainStart returns why no plain scalar can begin here, or nil.
func (y *yamlScan) plainStart() error {
	switch c := y.text[y.pos]; {
	case c == '-' || c == '?' || c == ':':
		if !y.blankAt(y.pos+1) && y.text[y.pos+1] != '\t' {
			return nil
		}
	case strings.IndexByte("\t\n#,[]{}&*!|>'\"%@`", c) < 0:
		return nil
	}
	return notUnderstood("what begins with " + string(y.text[y.pos:y.pos+1]))
}

// value reads a value that is not a block.
func (y *yamlScan) value() error {
	from := y.pos
	y.open = nothing
	var err error
	switch c := y.text[y.pos]; {
	case (c == '&' || c == '*') && y.tracked == "":
		return y.reference(c)
	case c == '|' || c == '>':
		err = y.block()
	case c == '"' || c == '\'':
		if err = y.quoted(); err == nil {
			err = y.endOfLine()
		}
	case c == '[' || c == '{':
		if err = y.flow(); err == nil {
			err = y.endOfLine()
		}
	default:
		if err = y.plainStart(); err == nil {
			err = y.plain()
		}
		if err != nil || y.tracked == "" {
			return err
		}
		return y.decide(y.text[from:y.lineEnd(from)])
	}
	if err == nil && y.tracked != "" && !(y.isSection(y.tracked) && bytes.HasPrefix(y.text[from:], []byte("{}"))) {
		err = notUnderstood("the value of " + y.tracked)
	}
	return err
}

// decide takes word as the value of the wanted key.
func (y *yamlScan) decide(word []byte) error {
	value, ok := yamlWord(strings.TrimSpace(string(word)))
	if !ok || value && y.isSection(y.tracked) {
		return notUnderstood("the value of " + y.tracked)
	}
	y.values[y.tracked] = value
	return nil
}

// lineEnd returns where the plain scalar that begins at from ends on its line.
func (y *yamlScan) lineEnd(from int) int {
	line := y.text[from : from+bytes.IndexByte(y.text[from:], '\n')]
	if i := bytes.Index(line, []byte(" #")); i >= 0 {
		line = line[:i]
	}
	return from + len(line)
}

// plain reads a plain scalar, as far as it is on this line.
func (y *yamlScan) plain() error {
	y.open = plain
	for ; !y.ends(); y.pos++ {
		if y.at('\t') || y.at(':') && (y.blankAt(y.pos+1) || y.text[y.pos+1] == '\t') {
			return notUnderstood("a tab, or a colon in a value")
		}
	}
	if y.at('#') {
		y.open = nothing
	}
	return y.endOfLine()
}

// reference reads an anchor and the node after it, or an alias.
func (y *yamlScan) reference(c byte) error {
	from := y.pos + 1
	for y.pos++; y.pos < len(y.text) && strings.IndexByte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-", y.text[y.pos]) >= 0; {
		y.pos++
	}
	if y.pos == from || !y.blankAt(y.pos) {
		return notUnderstood("the name of an anchor")
	}
	if y.spaces(); !y.ends() && c == '&' {
		if y.at('&') || y.at('*') { // invalid YAML, which would nest ever deeper
			return notUnderstood("an anchor of a reference")
		}
		return y.value()
	}
	if c == '&' {
		y.open = wanted
	}
	return y.endOfLine()
}
