package profile

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"hermes-s6/lib/fail"
)

// configFile is the home's configuration, which people write.
const configFile = "config.yaml"

// Multiplex tells whether the home's configuration has one gateway serve all
// profiles (multiplex_profiles). false where there is none; an error means one
// that is no use.
func (h *Home) Multiplex() (bool, error) {
	// People write it, so the account can: no link to a file of root's, whose
	// content a message could show; no FIFO, at which a boot would hang.
	data, err := h.dir.Read(configFile, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	multiplex, err := boolOf(data, "multiplex_profiles")
	if err != nil {
		err = fail.Errorf(fail.System, "%s: %w", h.dir.Path(configFile), err)
	}
	return multiplex, err
}

// boolOf returns the value of key in the mapping that text, YAML, is; false where
// it has no such key. It takes the parser alone: to decode into Go values is more
// than half of the library.
func boolOf(text []byte, key string) (bool, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		// The library's own message is a drawing of several lines.
		return false, errors.New("not YAML")
	}
	for _, doc := range file.Docs {
		mapping, ok := doc.Body.(ast.MapNode)
		if !ok {
			continue // a comment, or a list
		}
		for entry := mapping.MapRange(); entry.Next(); {
			if entry.Key().GetToken().Value != key {
				continue
			}
			value, ok := entry.Value().(*ast.BoolNode)
			if !ok {
				return false, fmt.Errorf("%s is not a boolean", key)
			}
			return value.Value, nil
		}
	}
	return false, nil
}
