package profile

import (
	"bytes"
	"strings"
)

// yamlWord returns what a plain scalar is if it is a boolean, or null, which is as good
// as false, in YAML 1.1 as PyYAML reads it: that makes text of y and n, and a boolean of
// YES but not of yEs.
func yamlWord(word string) (value, ok bool) {
	switch word {
	case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return true, true
	case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "~", "null", "Null", "NULL":
		return false, true
	}
	return false, false
}

// maxKey is less than PyYAML looks ahead for the colon behind a key.
const maxKey = 1000

func (y *yamlScan) at(c byte) bool { return y.pos < len(y.text) && y.text[y.pos] == c }

// blankAt tells whether at i is a space or the end of the line.
func (y *yamlScan) blankAt(i int) bool {
	return i >= len(y.text) || y.text[i] == ' ' || y.text[i] == '\n'
}

func (y *yamlScan) spaces() {
	for y.at(' ') {
		y.pos++
	}
}

// ends tells whether nothing follows on this line but a comment.
func (y *yamlScan) ends() bool {
	return y.pos >= len(y.text) || y.at('\n') || y.at('#') && (y.pos == y.start || y.text[y.pos-1] == ' ')
}

// endOfLine skips the rest of this line, in which nothing must be but a comment.
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

// marker tells whether a line begins here that begins or ends a document.
func (y *yamlScan) marker() bool {
	rest := y.text[y.pos:]
	return y.pos == y.start && (bytes.HasPrefix(rest, []byte("---")) || bytes.HasPrefix(rest, []byte("..."))) &&
		(y.blankAt(y.pos+3) || y.text[y.pos+3] == '\t')
}

// newline goes on to the next line within a value.
func (y *yamlScan) newline() error {
	y.pos++
	if y.start = y.pos; y.marker() {
		return notUnderstood("a second document")
	}
	return nil
}

// key reads a key and its colon; false where there is none, and nothing is read then.
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
		return "", false, nil // value says it
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

// plainStart tells why no plain scalar begins here, or nil.
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

// value reads a value that is no block.
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

// decide takes word for the value of the key that is looked for.
func (y *yamlScan) decide(word []byte) error {
	value, ok := yamlWord(strings.TrimSpace(string(word)))
	if !ok || value && y.isSection(y.tracked) {
		return notUnderstood("the value of " + y.tracked)
	}
	y.values[y.tracked] = value
	return nil
}

// lineEnd is where the plain scalar that begins at from ends on its line.
func (y *yamlScan) lineEnd(from int) int {
	line := y.text[from : from+bytes.IndexByte(y.text[from:], '\n')]
	if i := bytes.Index(line, []byte(" #")); i >= 0 {
		line = line[:i]
	}
	return from + len(line)
}

// plain reads a plain scalar to the end of the line, or what of it is on this one.
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

// reference reads an anchor, and what it stands before, or an alias.
func (y *yamlScan) reference(c byte) error {
	from := y.pos + 1
	for y.pos++; y.pos < len(y.text) && strings.IndexByte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-", y.text[y.pos]) >= 0; {
		y.pos++
	}
	if y.pos == from || !y.blankAt(y.pos) {
		return notUnderstood("the name of an anchor")
	}
	if y.spaces(); !y.ends() && c == '&' {
		if y.at('&') || y.at('*') { // no YAML, and it would take us ever deeper
			return notUnderstood("an anchor of a reference")
		}
		return y.value()
	}
	if c == '&' {
		y.open = wanted
	}
	return y.endOfLine()
}

// quoted reads a scalar in quotes, over as many lines as it has.
func (y *yamlScan) quoted() error {
	quote := y.text[y.pos]
	for y.pos++; y.pos < len(y.text); {
		switch c := y.text[y.pos]; {
		case c == '\n':
			if err := y.newline(); err != nil {
				return err
			}
		case c == '\\' && quote == '"':
			if err := y.escape(); err != nil {
				return err
			}
		case c != quote:
			y.pos++
		case quote == '\'' && y.pos+1 < len(y.text) && y.text[y.pos+1] == quote:
			y.pos += 2
		default:
			y.pos++
			return nil
		}
	}
	return notUnderstood("a quote without its end")
}

// escape reads a backslash in double quotes and what it stands before; a newline stays.
func (y *yamlScan) escape() error {
	c := y.text[min(y.pos+1, len(y.text)-1)]
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if strings.IndexByte("\n0abtnvfre \"/\\N_LPxuU\t", c) < 0 || y.pos+2+digits > len(y.text) {
		return notUnderstood("an escape")
	}
	if y.pos++; c != '\n' {
		y.pos++
	}
	for range digits {
		if strings.IndexByte("0123456789ABCDEFabcdef", y.text[y.pos]) < 0 {
			return notUnderstood("an escape")
		}
		y.pos++
	}
	return nil
}

// block reads a block scalar: all lines that are blank, or further in than the block
// it is in.
func (y *yamlScan) block() error {
	for y.pos++; y.pos < len(y.text) && strings.IndexByte("+-123456789", y.text[y.pos]) >= 0; {
		y.pos++
	}
	if err := y.endOfLine(); err != nil {
		return err
	}
	column := y.top().column
	for y.pos < len(y.text) {
		line := y.text[y.pos : y.pos+bytes.IndexByte(y.text[y.pos:], '\n')]
		text := bytes.TrimLeft(line, " ")
		if len(text) > 0 && len(line)-len(text) <= column {
			break
		}
		y.pos += len(line) + 1
	}
	return nil
}

// flow reads a list or mapping in brackets, over as many lines as it has.
func (y *yamlScan) flow() error {
	var closing []byte // what is to come, the innermost last
	scalar := false    // within a plain one
	for y.pos < len(y.text) {
		c := y.text[y.pos]
		switch {
		case c == '\n':
			if err := y.newline(); err != nil {
				return err
			}
			continue
		case c == ' ':
		case y.ends(): // a comment
			y.pos += bytes.IndexByte(y.text[y.pos:], '\n')
			scalar = false
			continue
		case c == '[' || c == '{':
			closing, scalar = append(closing, c+2), false // ] and } come two after them
			if len(closing) > maxDepth {
				return notUnderstood("deeper nesting")
			}
		case c == ']' || c == '}':
			if closing[len(closing)-1] != c {
				return notUnderstood("a bracket")
			}
			if closing, scalar = closing[:len(closing)-1], false; len(closing) == 0 {
				y.pos++
				return nil
			}
		case c == ',' || c == ':' && (!scalar || y.blankAt(y.pos+1) || strings.IndexByte(",[]{}", y.text[y.pos+1]) >= 0):
			scalar = false
		case c == '\t' || c == '?':
			return notUnderstood("a tab or a question mark in brackets")
		case scalar:
		case c == '"' || c == '\'':
			if err := y.quoted(); err != nil {
				return err
			}
			continue
		default:
			if err := y.plainStart(); err != nil {
				return err
			}
			scalar = true
		}
		y.pos++
	}
	return notUnderstood("a bracket without its end")
}
