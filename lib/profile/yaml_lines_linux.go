package profile

import (
	"bytes"
	"strings"
)

// Values that may span several lines.

// quoted reads a quoted scalar, over all its lines.
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

// escape reads a backslash in double quotes and the escape after it, but leaves a newline.
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

// block reads a block scalar: all lines that are blank or indented more than the enclosing block.
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

// flow reads a list or mapping in brackets, over all its lines.
func (y *yamlScan) flow() error {
	var closing []byte // expected closing brackets, the innermost last
	scalar := false    // inside a plain scalar
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
			closing, scalar = append(closing, c+2), false // ] and } come two after [ and {
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
