//go:build linux

package s6_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/must"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/s6/s6test"
)

// TestWaitOnAnother: Wait also sees changes of another service that has replaced the first.
func TestWaitOnAnother(t *testing.T) {
	parent := t.TempDir()
	supervise := filepath.Join(parent, "a/supervise")
	mkdir := func() {
		must.Do(t, os.MkdirAll(supervise, 0o755))
	}
	mkdir()
	in, err := dir.Open(parent)
	must.Do(t, err)
	defer in.Close()
	var looks atomic.Int64
	done := make(chan error, 1)
	go func() {
		service := s6.Service{In: in, Name: "a"}
		done <- service.Wait("", time.Now().Add(s6test.Patience), func(*s6.Status) bool {
			_, err := os.Stat(filepath.Join(supervise, "reached"))
			looks.Add(1)
			return err == nil
		})
	}()
	looked := func(times int64) {
		t.Helper()
		s6test.Await(t, func() error {
			if looks.Load() < times {
				return fmt.Errorf("%d looks: %w", times, s6test.ErrNot)
			}
			return nil
		})
	}
	watching := int64(s6.FirstLooks + 2)
	looked(watching)
	must.Do(t, os.Rename(filepath.Join(parent, "a"), filepath.Join(parent, "b")))
	mkdir()
	must.Do(t, os.RemoveAll(filepath.Join(parent, "b")))
	looked(watching + 2)
	must.Do(t, os.WriteFile(filepath.Join(supervise, "reached"), nil, 0o644))
	if err := <-done; err != nil {
		t.Error(err)
	}
}
