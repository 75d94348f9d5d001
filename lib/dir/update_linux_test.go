package dir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
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
