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
)

func mark(old []byte) ([]byte, error) {
	return append(bytes.TrimSuffix(old, []byte("!")), '!'), nil
}

// What somebody else writes while we do is not lost, whoever is first.
func TestUpdateRace(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
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
		if err := d.Update("state", 100, 0o600, -1, -1, mark); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
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

// Mode and owner stay; a file that is made gets what is asked for; an edit that
// fails, or changes nothing, touches nothing.
func TestUpdate(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	file := filepath.Join(path, "state")
	stat := func() *syscall.Stat_t {
		t.Helper()
		info, err := os.Lstat(file)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t)
	}
	update := func() {
		t.Helper()
		if err := d.Update("state", 100, 0o640, -1, -1, mark); err != nil {
			t.Fatal(err)
		}
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
	err = errors.Join(os.WriteFile(file, []byte("more"), 0), os.Chmod(file, 0o604), os.Chown(file, uid, -1))
	if err != nil {
		t.Fatal(err)
	}
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
	// What is no file of ours is left where it is.
	if err := errors.Join(os.Remove(file), os.Symlink("elsewhere", file)); err != nil {
		t.Fatal(err)
	}
	if err := d.Update("state", 100, 0o640, -1, -1, mark); err == nil {
		t.Error("a link was replaced")
	}
	if left, _ := filepath.Glob(filepath.Join(path, ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What somebody else writes between our reading the file and our publishing it is never
// replaced by what is older, not even for a moment: he might read that back.
func TestUpdateShowsNothingOlder(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	file := filepath.Join(path, "state")
	for _, before := range []string{"", "old"} {
		if before != "" {
			if err := os.WriteFile(file, []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
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
			if err := errors.Join(os.WriteFile(tmp, fmt.Append(nil, "his", his), 0o644), os.Rename(tmp, file)); err != nil {
				t.Fatal(err)
			}
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
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// A file that is empty for a moment is one that somebody is writing.
func TestUpdateAwaitsContent(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	defer func(was time.Duration) { emptyPatience = was }(emptyPatience)
	emptyPatience = time.Hour
	file := filepath.Join(path, "state")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- d.Update("state", 100, 0o600, -1, -1, mark) }()
	if err := os.WriteFile(file, []byte("his"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "his!" {
		t.Errorf("%q", got)
	}
}
