package place

import (
	"path/filepath"

	"hermes-s6/lib/s6"
)

// Programs finds s6's programs.
func (c *Context) Programs() s6.Programs {
	dir := c.value(programs)
	if dir == "" {
		return ""
	}
	// A program's path must not depend on where its script is run.
	path, err := filepath.Abs(dir)
	if err != nil {
		return s6.Programs(dir)
	}
	return s6.Programs(path)
}

// Tree returns the supervision tree.
func (c *Context) Tree() s6.Tree {
	return s6.Tree{ScanDir: c.value(scanDir), Programs: c.Programs()}
}
