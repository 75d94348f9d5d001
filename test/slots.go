//go:build linux

package test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hermes-s6/lib/must"
)

// slotFiles are the files that a slot's definition determines.
var slotFiles = []string{"type", "run", "finish", "log/run", "down"}

// contents returns the mode and content of each file of the slots below scan, by its path.
func contents(t *testing.T, scan string) map[string]string {
	t.Helper()
	files := map[string]string{}
	slots, _ := filepath.Glob(filepath.Join(scan, "gateway-*"))
	for _, slot := range slots {
		for _, name := range slotFiles {
			path := filepath.Join(slot, name)
			info, err := os.Lstat(path)
			if errors.Is(err, fs.ErrNotExist) && name == "down" {
				continue
			}
			if err != nil {
				t.Errorf("not whole: %v", err)
				continue
			}
			// The path of the place does not count.
			text := readFile(t, path)
			for _, before := range []string{"=", " "} { // in sh, in execline
				text = strings.ReplaceAll(text, before+scan+"/", before+"SCANDIR/")
			}
			files[filepath.Join(filepath.Base(slot), name)] = fmt.Sprintf("%v %s", info.Mode(), text)
		}
		for _, sub := range []string{"", "log"} {
			for _, name := range []string{"event", "supervise/event", "supervise/control"} {
				if _, err := os.Lstat(filepath.Join(slot, sub, name)); err != nil {
					t.Errorf("not whole: %v", err)
				}
			}
		}
	}
	return files
}

// model returns the slots that a home calls for: those that reconcile makes in an empty scan
// directory.
func model(t *testing.T, p place) map[string]string {
	t.Helper()
	fresh := p
	fresh.scan = filepath.Join(t.TempDir(), "scan")
	must.Do(t, os.Mkdir(fresh.scan, 0o755))
	fresh.run(t, 0, "hermes-reconcile")
	return contents(t, fresh.scan)
}

func diff(t *testing.T, got, want map[string]string) {
	t.Helper()
	for path := range want {
		if got[path] != want[path] {
			t.Errorf("%s is\n%s\nwant\n%s", path, got[path], want[path])
		}
	}
	for path := range got {
		if want[path] == "" {
			t.Errorf("%s is too many", path)
		}
	}
}
