package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/must"
)

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "0", "a-b_c", "default", "gateway-a", strings.Repeat("x", 243)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "A", "aB", "-a", "_a", "a/b", "a.b", ".", "..", "a b", "a\n", "\na", "a\x00", "é", "٣", "a\xff", strings.Repeat("x", 244), strings.Repeat("x", 252)} {
		if code := fail.CodeOf(CheckName(name)); code != fail.Usage {
			t.Errorf("%q: code %d", name, code)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"A", "_", "a1", "A_B"} {
		if err := CheckKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"", "1", "A-B", "A B", "A\n", "É", "A=", "A\x00"} {
		if code := fail.CodeOf(CheckKey(key)); code != fail.Usage {
			t.Errorf("%q: code %d", key, code)
		}
	}
}

func TestRoot(t *testing.T) {
	for path, want := range map[string]string{
		"/opt/data": "/opt/data", "/opt/data/profiles/coder": "/opt/data", "/opt/data/profiles/coder/": "/opt/data",
		"/opt/data/profiles": "/opt/data/profiles", "/opt/data/profiles/Coder": "/opt/data/profiles/Coder", "/profiles/x": "/",
	} {
		if got, err := Root(path); got != want || err != nil {
			t.Errorf("Root(%q) = %q, %v, want %q", path, got, err, want)
		}
	}
}

func TestDerivePort(t *testing.T) {
	// python3 -c 'import hashlib; print(9200 + int(hashlib.sha256(b"coder").hexdigest()[:8], 16) % 600)'
	for name, want := range map[string]int{"coder": 9570, "writer": 9543, "default": 9449, "a": 9610} {
		if got := DerivePort(name); got != want {
			t.Errorf("DerivePort(%q) = %d, want %d", name, got, want)
		}
	}
}

func TestClaim(t *testing.T) {
	taken := NewPorts()
	// Every port of the range is given out once; after that they are shared.
	for i := range ports {
		name := "p" + strings.Repeat("x", i%200) + strings.Repeat("y", i/200)
		s := Settings{}
		if port := taken.Claim(name, &s); taken.Of(port) != name || s.DerivedPort != port || port < 9200 || port >= 9800 {
			t.Fatalf("%d: port %d is %q's", i, port, taken.Of(port))
		}
	}
	s := Settings{}
	if port := taken.Claim("one-more", &s); port != DerivePort("one-more") {
		t.Errorf("port %d on a full range, want the derived one", port)
	}
}

func TestSettingsCheck(t *testing.T) {
	for name, s := range map[string]Settings{
		"port":           {Port: 70000},
		"negative port":  {Port: -1},
		"derived port":   {DerivedPort: 22},
		"dialect":        {Dialect: "perl"},
		"key":            {Env: map[string]Bytes{"A-B": ""}},
		"NUL":            {Env: map[string]Bytes{"A": "a\x00b"}},
		"long value":     {Env: map[string]Bytes{"A": Bytes(strings.Repeat("x", 1<<17-2))}},
		"quote":          {Command: `sh -c "`},
		"comment alone":  {Command: "# nothing"},
		"empty program":  {Command: "'' x"},
		"option":         {Command: "-c x"},
		"not UTF-8":      {Command: "a\xff"},
		"NUL in command": {Command: "a 'b\x00'"},
	} {
		if code := fail.CodeOf(s.Check()); code != fail.Usage {
			t.Errorf("%s: code %d", name, code)
		}
	}
	s := Settings{Env: map[string]Bytes{"A": Bytes(strings.Repeat("x", 1<<17-3))}}
	if err := s.Check(); err != nil {
		t.Errorf("the longest string that execve takes: %v", err)
	}
}

func TestBytes(t *testing.T) {
	for _, b := range []Bytes{"", "a", "é", "\xff", "a\xffb", "<&>", "\x00\n"} {
		data, err := json.Marshal(b)
		var back Bytes
		if err == nil {
			err = json.Unmarshal(data, &back)
		}
		if err != nil || back != b {
			t.Errorf("%q: %s, %q, %v", b, data, back, err)
		}
	}
}

func newHome(t *testing.T) (*Home, string) {
	t.Helper()
	dir := t.TempDir()
	must.Do(t, os.MkdirAll(filepath.Join(dir, "profiles/coder"), 0o755))
	h, err := OpenHome(dir, -1, -1)
	must.Do(t, err)
	t.Cleanup(h.Close)
	return h, dir
}

// TestRecord: a record reads back as it was written, and undo restores the previous one byte
// for byte.
func TestRecord(t *testing.T) {
	h, dir := newHome(t)
	file := filepath.Join(dir, "profiles/coder/gateway_service.json")
	first := Settings{Port: 4000, Env: map[string]Bytes{"A": "\xff<&>"}, Command: "x", Dialect: Execline}
	_, undo, err := h.Record("coder", first)
	must.Do(t, err)
	must.Do(t, undo())
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("undo left the first record: %v", err)
	}
	must.Do(t, os.WriteFile(file, []byte("{ }\n"), 0o600))
	_, undo, err = h.Record("coder", first)
	must.Do(t, err)
	got, err := h.Settings("coder")
	if err != nil || got.Port != 4000 || got.Env["A"] != "\xff<&>" || got.Dialect != Execline {
		t.Errorf("Settings = %+v, %v", got, err)
	}
	must.Do(t, undo())
	if data, _ := os.ReadFile(file); string(data) != "{ }\n" {
		t.Errorf("undo made it %q", data)
	}
}

// TestRecordSpoilt: an unusable record is an error, not a definition. The file belongs to the
// account.
func TestRecordSpoilt(t *testing.T) {
	h, dir := newHome(t)
	file := filepath.Join(dir, "profiles/coder/gateway_service.json")
	for _, text := range []string{" ", "[]", "{", `{"port":"x"}`, `{"port":70000}`, `{"env":{"A-B":""}}`, `{"dialect":"perl"}`, `{"env":{"A":{"base64":"!"}}}`} {
		must.Do(t, os.WriteFile(file, []byte(text), 0o600))
		if s, err := h.Settings("coder"); err == nil || s.Port != 0 || s.Env != nil {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
}

// TestNoLinkFollowed plants a link at each step of the way to a record.
func TestNoLinkFollowed(t *testing.T) {
	outside := t.TempDir()
	victim := filepath.Join(outside, "gateway_service.json")
	must.Do(t, os.WriteFile(victim, []byte(`{"port":4000}`), 0o644))
	for _, plant := range []string{"profiles", "profiles/coder", "profiles/coder/gateway_service.json"} {
		h, dir := newHome(t)
		path := filepath.Join(dir, plant)
		target := outside
		must.Do(t, os.RemoveAll(path))
		if filepath.Base(plant) == "profiles" {
			must.Do(t, os.Symlink(outside, filepath.Join(outside, "coder")))
		}
		if filepath.Base(plant) == settingsFile {
			target = victim
		}
		must.Do(t, os.Symlink(target, path))
		if s, err := h.Settings("coder"); err == nil || s.Port != 0 {
			t.Errorf("%s: read through a link: %+v, %v", plant, s, err)
		}
		_, _, _ = h.Record("coder", Settings{Port: 5000})
		_ = h.Forget("coder")
		if data, _ := os.ReadFile(victim); string(data) != `{"port":4000}` {
			t.Fatalf("%s: wrote through a link: %s", plant, data)
		}
	}
}

func TestDesiredState(t *testing.T) {
	h, dir := newHome(t)
	file := filepath.Join(dir, "profiles/coder/gateway_state.json")
	for text, want := range map[string]string{
		`{"desired_state":"running"}`: "running", "\ufeff" + `{"desired_state":"stopped"}`: "stopped",
		"{\"desired_state\":\"\\u001b]0;x\\u0007\"}": Unknown, `{"desired_state":"Running"}`: Unknown, `{"x":NaN,"desired_state":"running"}`: "running",
		`{"desired_state":1}`: "", `{}`: "", "": "", `[]`: "", `{"desired_state":"running"`: "",
		`{"a":` + strings.Repeat("[", 20000): "", strings.Repeat(" ", maxState+1): "",
	} {
		must.Do(t, os.WriteFile(file, []byte(text), 0o600))
		if got := h.DesiredState("coder"); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
	os.Remove(file)
	must.Do(t, syscall.Mkfifo(file, 0o600))
	if got := h.DesiredState("coder"); got != "" {
		t.Errorf("a FIFO: %q", got)
	}
}

// TestLock: a process that cannot get the lock in time is told which process holds it. Nothing
// that the account puts in the lock's place keeps others from getting it.
func TestLock(t *testing.T) {
	h, root := newHome(t)
	unlock, err := h.LockPorts(time.Second)
	must.Do(t, err)
	_, err = h.LockPorts(50 * time.Millisecond)
	if want := fmt.Sprintf("another process is at work on it (pid %d)", os.Getpid()); fail.CodeOf(err) != fail.Timeout || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("a lock that another holds: code %d, %v", fail.CodeOf(err), err)
	}
	unlock()
	place := filepath.Join(root, lockName)
	if _, err := os.Lstat(place); !os.IsNotExist(err) {
		t.Errorf("what is left of the lock: %v", err)
	}
	for name, plant := range map[string]func() error{
		"file":      func() error { return os.WriteFile(place, nil, 0o600) },
		"link":      func() error { return os.Symlink("profiles", place) },
		"directory": func() error { return os.MkdirAll(place+"/x", 0o755) },
		"another's": func() error { return errors.Join(os.Mkdir(place, 0o700), os.Chown(place, 12345, -1)) },
	} {
		if name == "another's" && os.Geteuid() != 0 {
			continue
		}
		must.Do(t, plant())
		// A process that can open the lock can hold it for ever.
		d, err := dir.Open(root)
		must.Do(t, err)
		if held, err := d.Dir(lockName); err == nil {
			_ = held.TryLock()
			defer held.Close()
		}
		d.Close()
		unlock, err := h.LockPorts(2 * time.Second)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		unlock()
	}
	unlock, err = h.LockPorts(0)
	must.Do(t, err)
	unlock()
}

// TestRecordKeeps: keys in a record that are not ours stay when it is rewritten, and keys that
// differ from ours in case are not ours.
func TestRecordKeeps(t *testing.T) {
	h, root := newHome(t)
	file := filepath.Join(root, "profiles/coder/gateway_service.json")
	const text = `{"PORT":4000,"port":4001,"note":{"a": [1.0, 1e400]},"Env":{"A":"b"},"env":{"a":"1","A":"2"},"nan":NaN}`
	must.Do(t, os.WriteFile(file, []byte(text), 0o600))
	s, err := h.Settings("coder")
	if err != nil || s.Port != 4001 || len(s.Env) != 2 || s.Env["a"] != "1" {
		t.Errorf("%+v, %v", s, err)
	}
	_, _, err = h.Record("coder", Settings{Port: 5000})
	must.Do(t, err)
	const want = `{
  "port": 5000,
  "PORT": 4000,
  "note": {"a": [1.0, 1e400]},
  "Env": {"A":"b"},
  "nan": NaN
}
`
	if data, _ := os.ReadFile(file); string(data) != want {
		t.Errorf("it became %s", data)
	}
	must.Do(t, os.WriteFile(file, []byte(`{"DERIVED_PORT": 1, "x" : 2 }`), 0o600))
	must.Do(t, h.RecordPorts([]Given{{"coder", 9300}})[0])
	if data, _ := os.ReadFile(file); string(data) != `{"DERIVED_PORT": 1, "x" : 2,"derived_port": 9300 }` {
		t.Errorf("it became %s", data)
	}
}

// TestRecordAside: writing another record moves an unusable one aside, and leaves alone those
// that were moved before. Writing a port into an unusable one fails.
func TestRecordAside(t *testing.T) {
	h, root := newHome(t)
	file := filepath.Join(root, "profiles/coder/gateway_service.json")
	for i, text := range []string{`{"port":4321,"env":{"TOKEN":"x"},}`, `{"port":"x"}`} {
		must.Do(t, os.WriteFile(file, []byte(text), 0o600))
		if err := h.RecordPorts([]Given{{"coder", 9300}})[0]; err == nil {
			t.Errorf("%s: a port was recorded", text)
		}
		want := fmt.Sprintf("%s.broken-%d", file, i+1)
		aside, undo, err := h.Record("coder", Settings{Port: 5000})
		if err != nil || aside != want {
			t.Fatalf("%s: %q, %v", text, aside, err)
		}
		if data, _ := os.ReadFile(want); string(data) != text {
			t.Errorf("%s: aside is %q", text, data)
		}
		must.Do(t, undo())
		if data, _ := os.ReadFile(file); string(data) != text {
			t.Errorf("%s: undo made it %q", text, data)
		}
		_, _, err = h.Record("coder", Settings{Port: 5000})
		must.Do(t, err)
	}
}

// TestRecordAtOnce: two processes that write to one profile's record at once, one of them
// without the home's lock, do not disturb each other.
func TestRecordAtOnce(t *testing.T) {
	root := t.TempDir()
	must.Do(t, os.MkdirAll(filepath.Join(root, "profiles/coder"), 0o755))
	const writers, times = 2, 50
	failed := make(chan error, writers)
	for i := range writers {
		go func() {
			home, err := OpenHome(root, -1, -1)
			if err != nil {
				failed <- err
				return
			}
			defer home.Close()
			for n := 0; err == nil && n < times; n++ {
				if _, _, err = home.Record("coder", Settings{Port: 1 + i*times + n}); err == nil {
					_, err = home.Settings("coder") // it can be read at any time
				}
				if err == nil {
					err = home.PlanStop("coder", Target{PID: i}, time.Now())
				}
			}
			failed <- err
		}()
	}
	for range writers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
