package dir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/must"
)

func mark(old []byte) ([]byte, error) {
	return append(bytes.TrimSuffix(old, []byte("!")), '!'), nil
}

// TestUpdateRace: what another process writes at the same time is not lost, whoever is first.
func TestUpdateRace(t *testing.T) {
	d, path := open(t)
	file := filepath.Join(path, "state")
	both := 0
	for i := range 2000 {
		his := fmt.Sprint(i)
		done := make(chan error, 1)
		go func() {
			tmp := filepath.Join(path, "his")
			err := os.WriteFile(tmp, []byte(his), 0o644)
			if err == nil {
				err = os.Rename(tmp, file)
			}
			done <- err
		}()
		must.Do(t, d.Update("state", 100, 0o600, -1, -1, mark))
		must.Do(t, <-done)
		got, err := os.ReadFile(file)
		if err != nil || string(bytes.TrimSuffix(got, []byte("!"))) != his {
			t.Fatalf("%q after he wrote %q: %v", got, his, err)
		}
		if bytes.HasSuffix(got, []byte("!")) {
			both++
		}
	}
	if both == 0 || both == 2000 {
		t.Errorf("%d of 2000: there was no race", both)
	}
	if left, _ := filepath.Glob(filepath.Join(path, ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestUpdate: mode and owner stay. A new file gets what is asked for. An edit that fails, or
// changes nothing, touches nothing.
func TestUpdate(t *testing.T) {
	d, path := open(t)
	file := filepath.Join(path, "state")
	stat := func() *syscall.Stat_t {
		t.Helper()
		info, err := os.Lstat(file)
		must.Do(t, err)
		return info.Sys().(*syscall.Stat_t)
	}
	update := func() {
		t.Helper()
		must.Do(t, d.Update("state", 100, 0o640, -1, -1, mark))
	}
	update()
	if st := stat(); st.Mode != syscall.S_IFREG|0o640 {
		t.Errorf("mode %o", st.Mode)
	}
	before := stat()
	update()
	if stat().Ino != before.Ino {
		t.Error("an edit that changes nothing made a new file")
	}
	uid := os.Geteuid()
	if uid == 0 {
		uid = 12345
	}
	must.Do(t, os.WriteFile(file, []byte("more"), 0), os.Chmod(file, 0o604), os.Chown(file, uid, -1))
	update()
	if st := stat(); st.Mode != syscall.S_IFREG|0o604 || int(st.Uid) != uid {
		t.Errorf("mode %o, owner %d", st.Mode, st.Uid)
	}
	wrong := errors.New("wrong")
	if err := d.Update("state", 100, 0o640, -1, -1, func([]byte) ([]byte, error) { return nil, wrong }); err != wrong {
		t.Error(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "more!" {
		t.Errorf("%q", got)
	}
	// What is not a file of ours is left in place.
	must.Do(t, os.Remove(file), os.Symlink("elsewhere", file))
	if err := d.Update("state", 100, 0o640, -1, -1, mark); err == nil {
		t.Error("a link was replaced")
	}
	if left, _ := filepath.Glob(filepath.Join(path, ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestUpdateShowsNothingOlder: what another process writes between our read and our write is
// never replaced by older content, not even for a moment. That process might read it back.
func TestUpdateShowsNothingOlder(t *testing.T) {
	d, path := open(t)
	file := filepath.Join(path, "state")
	for _, before := range []string{"", "old"} {
		if before != "" {
			must.Do(t, os.WriteFile(file, []byte(before), 0o644))
		}
		his := 0
		var edited []string
		beforeLastLook = func() {
			if got, _ := os.ReadFile(file); string(got) != edited[len(edited)-1] {
				t.Errorf("%q can be read while %q is edited", got, edited)
			}
			if his++; his > 3 {
				return
			}
			tmp := filepath.Join(path, "his")
			must.Do(t, os.WriteFile(tmp, fmt.Append(nil, "his", his), 0o644), os.Rename(tmp, file))
		}
		err := d.Update("state", 100, 0o600, -1, -1, func(old []byte) ([]byte, error) {
			edited = append(edited, string(old))
			return mark(old)
		})
		beforeLastLook = nil
		want := []string{before, "his1", "his2", "his3"}
		if err != nil || !slices.Equal(edited, want) {
			t.Errorf("edited %q: %v, want %q", edited, err, want)
		}
		if got, _ := os.ReadFile(file); string(got) != "his3!" {
			t.Errorf("%q", got)
		}
		must.Do(t, os.Remove(file))
	}
}

// TestUpdateAwaitsContent: another process is about to write a file that is empty for a moment.
func TestUpdateAwaitsContent(t *testing.T) {
	d, path := open(t)
	defer func(was time.Duration) { emptyPatience = was }(emptyPatience)
	emptyPatience = time.Hour
	file := filepath.Join(path, "state")
	must.Do(t, os.WriteFile(file, nil, 0o644))
	done := make(chan error)
	go func() { done <- d.Update("state", 100, 0o600, -1, -1, mark) }()
	must.Do(t, os.WriteFile(file, []byte("his"), 0o644))
	must.Do(t, <-done)
	if got, _ := os.ReadFile(file); string(got) != "his!" {
		t.Errorf("%q", got)
	}
}
