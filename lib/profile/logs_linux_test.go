package profile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"hermes-s6/lib/must"
)

// TestBootLogOfTwo has several boots find the boot log full at once. The log is renamed once,
// and no line is lost, neither an old one nor one of theirs.
func TestBootLogOfTwo(t *testing.T) {
	const rounds, boots = 100, 4
	root := t.TempDir()
	logs := filepath.Join(root, "logs")
	must.Do(t, os.Mkdir(logs, 0o755))
	full := bytes.Repeat([]byte("0123456789abcde\n"), bootLogSize/16)
	for range rounds {
		must.Do(t, os.WriteFile(filepath.Join(logs, bootLog), full, 0o644))
		var all sync.WaitGroup
		start := make(chan bool)
		for i := range boots {
			h, err := OpenHome(root, -1, -1)
			must.Do(t, err)
			all.Add(1)
			go func() {
				defer all.Done()
				defer h.Close()
				<-start
				if _, err := h.AppendBootLog(fmt.Appendf(nil, "boot %d\n", i)); err != nil {
					t.Error(err)
				}
			}()
		}
		close(start)
		all.Wait()
		old, err := os.ReadFile(filepath.Join(logs, bootLogOld))
		if err != nil || !bytes.Equal(old, full) {
			t.Fatalf("%s: %v, it holds %d bytes that begin with %.20q", bootLogOld, err, len(old), old)
		}
		if now, err := os.ReadFile(filepath.Join(logs, bootLog)); err != nil || bytes.Count(now, []byte("boot ")) != boots {
			t.Fatalf("%s: %v, it holds %.100q", bootLog, err, now)
		}
	}
}
