package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/must"
)

func open(t *testing.T) (*Dir, string) {
	t.Helper()
	path := t.TempDir()
	d, err := Open(path)
	must.Do(t, err)
	t.Cleanup(d.Close)
	return d, path
}

func TestReadOnlyRegularFiles(t *testing.T) {
	d, path := open(t)
	must.Do(t, os.WriteFile(filepath.Join(path, "file"), []byte("0123456789"), 0o600))
	must.Do(t, os.Symlink("file", filepath.Join(path, "link")))
	must.Do(t, os.Mkdir(filepath.Join(path, "dir"), 0o700))
	must.Do(t, unix.Mkfifo(filepath.Join(path, "fifo"), 0o600))
	for name, want := range map[string]error{
		"link": unix.ELOOP, "dir": ErrIrregular, "fifo": ErrIrregular, "none": fs.ErrNotExist,
	} {
		if _, err := d.Read(name, 100); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if data, err := d.Read("file", 10); string(data) != "0123456789" || err != nil {
		t.Errorf("file: %q, %v", data, err)
	}
	if _, err := d.Read("file", 9); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
}

// TestReplaceLeavesWhatWasThere replaces names that lead elsewhere.
func TestReplaceLeavesWhatWasThere(t *testing.T) {
	d, path := open(t)
	victim := filepath.Join(t.TempDir(), "victim")
	must.Do(t, os.WriteFile(victim, []byte("victim"), 0o644))
	must.Do(t, os.Symlink(victim, filepath.Join(path, "symbolic")))
	must.Do(t, os.Symlink(victim, filepath.Join(path, ".symbolic.new")))
	must.Do(t, os.Link(victim, filepath.Join(path, "hard")))
	for _, name := range []string{"symbolic", "hard", "new"} {
		must.Do(t, d.Replace(name, 0o600, -1, -1, []byte("data")))
		if data, err := d.Read(name, 100); string(data) != "data" || err != nil {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if data, _ := os.ReadFile(victim); string(data) != "victim" {
		t.Errorf("the victim is %q", data)
	}
	if names, _ := d.Names(); len(names) != 3 {
		t.Errorf("left: %v", names)
	}
}

func TestRenameNoReplace(t *testing.T) {
	d, path := open(t)
	for _, name := range []string{"new", "empty"} {
		must.Do(t, os.Mkdir(filepath.Join(path, name), 0o700))
	}
	must.Do(t, os.WriteFile(filepath.Join(path, "file"), nil, 0o600))
	must.Do(t, os.Symlink("nowhere", filepath.Join(path, "link")))
	for _, taken := range []string{"empty", "file", "link"} {
		if err := d.RenameNoReplace("new", d, taken); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", taken, err)
		}
	}
	must.Do(t, d.RenameNoReplace("new", d, "free"))
}

func TestRemoveAllFollowsNoLink(t *testing.T) {
	d, path := open(t)
	outside := t.TempDir()
	must.Do(t, os.WriteFile(filepath.Join(outside, "file"), nil, 0o600))
	must.Do(t, os.MkdirAll(filepath.Join(path, "tree/a/b"), 0o700))
	must.Do(t, os.Symlink(outside, filepath.Join(path, "tree/a/link")))
	must.Do(t, os.Symlink(outside, filepath.Join(path, "link")))
	must.Do(t, unix.Mkfifo(filepath.Join(path, "tree/fifo"), 0o600))
	for _, name := range []string{"tree", "link", "none"} {
		must.Do(t, d.RemoveAll(name))
	}
	if names, _ := d.Names(); len(names) != 0 {
		t.Errorf("left: %v", names)
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Error(err)
	}
}

func TestLocks(t *testing.T) {
	d, path := open(t)
	other, err := Open(path)
	must.Do(t, err)
	must.Do(t, other.TryLock())
	if err := d.TryLock(); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("TryLock: %v", err)
	}
	if err := d.Lock(time.Now().Add(10 * time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Lock: %v", err)
	}
	other.Close()
	must.Do(t, d.Lock(time.Now().Add(time.Minute)))
	must.Do(t, os.Remove(path))
	if d.Linked() {
		t.Error("a removed directory counts as linked")
	}
}

// TestBeneath: only what is below a directory can be opened through it, with openat2 and without.
func TestBeneath(t *testing.T) {
	root := t.TempDir()
	outside := filepath.Join(root, "outside")
	inside := filepath.Join(root, "inside")
	must.Do(t,
		os.Mkdir(outside, 0o755), os.WriteFile(filepath.Join(outside, "file"), nil, 0o644),
		os.MkdirAll(filepath.Join(inside, "dir/sub"), 0o755), os.WriteFile(filepath.Join(inside, "dir/file"), nil, 0o644),
		os.Symlink(outside, filepath.Join(inside, "absolute")), os.Symlink("../outside", filepath.Join(inside, "relative")),
		os.Symlink("dir", filepath.Join(inside, "within")), os.Symlink("file", filepath.Join(inside, "dir/link")),
	)
	d, err := Open(inside)
	must.Do(t, err)
	defer d.Close()
	defer noOpenat2.Store(noOpenat2.Load())
	for _, without := range []bool{false, true} {
		noOpenat2.Store(without)
		for _, name := range []string{".", "dir", "dir/sub", "dir/file", "dir/./file"} {
			if fd, err := d.beneath(name, unix.O_RDONLY, 0); err != nil {
				t.Errorf("without openat2 %v: %s: %v", without, name, err)
			} else {
				unix.Close(fd)
			}
		}
		for _, name := range []string{"", "..", "../outside/file", "dir/../../outside/file", outside, outside + "/file", "absolute", "absolute/file",
			"relative/file", "within", "within/file", "dir/link", "/", "nothing", "dir/file/x"} {
			if fd, err := d.beneath(name, unix.O_RDONLY, 0); err == nil {
				t.Errorf("without openat2 %v: %q was opened", without, name)
				unix.Close(fd)
			}
		}
	}
}

// TestLockGivenUp: a lock that was given up is not taken later. When its holder releases it,
// it is free.
func TestLockGivenUp(t *testing.T) {
	d, path := open(t)
	holder, err := Open(path)
	must.Do(t, err)
	must.Do(t, holder.Lock(time.Now().Add(time.Minute)))
	waiter, err := Open(path)
	must.Do(t, err)
	defer waiter.Close()
	for range 20 {
		if err := waiter.Lock(time.Now().Add(time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Lock: %v", err)
		}
	}
	holder.Close()
	time.Sleep(20 * time.Millisecond) // for a thread that would take it
	must.Do(t, d.TryLock())
}

// TestReplaceWithoutLock has two processes replace a file at once, one with the lock, the
// other one without.
func TestReplaceWithoutLock(t *testing.T) {
	locked, path := open(t)
	must.Do(t, locked.Lock(time.Time{}))
	other, err := Open(path)
	must.Do(t, err)
	defer other.Close()
	if err := other.Lock(time.Now()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	texts := [2]string{strings.Repeat("0", 1<<16), strings.Repeat("1", 1<<16)}
	done := make(chan error)
	for i, d := range []*Dir{locked, other} {
		go func() {
			var err error
			for n := 0; n < 200 && err == nil; n++ {
				err = d.ReplaceLater("file", 0o600, -1, -1, []byte(texts[i]))
				if data, e := d.Read("file", 1<<16); err == nil && (e != nil || !slices.Contains(texts[:], string(data))) {
					err = fmt.Errorf("it has %d bytes, %v", len(data), e)
				}
			}
			done <- err
		}()
	}
	for range texts {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if names, _ := locked.Names(); len(names) != 1 {
		t.Errorf("left: %v", names)
	}
}
