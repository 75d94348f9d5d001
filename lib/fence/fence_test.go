//go:build linux

package fence

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
)

// profileDir makes a profile's directory with a fence that contains text, no fence for "".
func profileDir(t *testing.T, text string) *dir.Dir {
	t.Helper()
	d, err := dir.Open(t.TempDir())
	if err == nil && text != "" {
		err = os.WriteFile(d.Path(File), []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// remotely locks path as another machine would: the kernel names no process (F_GETLK returns a
// negative pid). It uses a lock of an open file description, for which that is the same. It
// does not simulate a server that forgets locks, or a client's caches.
func remotely(t *testing.T, path string) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return func() { f.Close() }
}

// elsewhere has another process hold path until the test ends.
func elsewhere(t *testing.T, path string) (pid int) {
	t.Helper()
	cmd := exec.Command("s6-setlock", path, "cat")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	for {
		if lock, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid)); err != nil || string(lock) == "cat\n" {
			return cmd.Process.Pid
		}
		time.Sleep(time.Millisecond)
	}
}

// dead returns the line of a dead holder on this host: no process has this pid.
func dead(t *testing.T) string {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"host":%q,"pid":%d,"start_time":1,"since":"2026-01-01T00:00:00Z"}`+"\n", host, 1<<22+1)
}

func gate(d *dir.Dir, said *[]string) *Gate {
	return &Gate{Dir: d, UID: -1, GID: -1, Say: func(format string, args ...any) { *said = append(*said, fmt.Sprintf(format, args...)) }}
}

// TestPass: which processes pass and which have to wait, depending on the fence's holder.
func TestPass(t *testing.T) {
	alive := us()
	for name, c := range map[string]struct {
		text   string
		hold   func(t *testing.T, path string)
		passes bool
		said   string
	}{
		"nobody":                           {"", nil, true, ""},
		"left by a dead one":               {dead(t), nil, true, ""},
		"another machine":                  {`{"host":"elsewhere","pid":1,"start_time":1,"since":""}` + "\n", func(t *testing.T, p string) { remotely(t, p) }, false, ""},
		"nobody knows who":                 {"garbage", func(t *testing.T, p string) { remotely(t, p) }, false, ""},
		"a previous life of ours":          {dead(t), func(t *testing.T, p string) { remotely(t, p) }, true, "its lock is broken"},
		"a live one of ours":               {fmt.Sprintf(`{"host":%q,"pid":%d,"start_time":%d,"since":""}`+"\n", alive.Host, alive.PID, alive.Start), func(t *testing.T, p string) { remotely(t, p) }, false, ""},
		"alive, under a dead one's record": {dead(t), func(t *testing.T, p string) { elsewhere(t, p) }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := profileDir(t, c.text)
			if c.hold != nil {
				if c.text == "" {
					t.Fatal("nothing to hold")
				}
				c.hold(t, d.Path(File))
			}
			var said []string
			f, s, err := gate(d, &said).Pass()
			if err != nil || (f != nil) != c.passes || s.Held == c.passes && c.said == "" {
				t.Fatalf("%v, %+v, %v, want it to pass: %t", f, s, err, c.passes)
			}
			if got := strings.Join(said, "\n"); !strings.Contains(got, c.said) || c.said == "" && got != "" {
				t.Errorf("said %q, want %q", got, c.said)
			}
			if f == nil {
				return
			}
			defer f.Close()
			if err := f.Sign(); err != nil {
				t.Fatal(err)
			}
			text, _ := os.ReadFile(d.Path(File)) // closes what reads it, and so our lock: must come last
			if h := parse(text); h.PID != os.Getpid() || h.Foreign() || h.Since.IsZero() {
				t.Errorf("signed %q", text)
			}
		})
	}
}

// TestBreakOnce: if several processes find the same stale lock, one breaks it, and the others
// find the new holder's.
func TestBreakOnce(t *testing.T) {
	d := profileDir(t, dead(t))
	remotely(t, d.Path(File))
	const breakers = 4
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan string, breakers)
	var stdins []io.Closer
	for range breakers {
		cmd := exec.Command(self, "-test.run", "TestHelperPass$")
		cmd.Env = append(os.Environ(), "FENCE_DIR="+filepath.Dir(d.Path(File)))
		in, _ := cmd.StdinPipe()
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		stdins = append(stdins, in)
		go func() {
			var word string
			_, _ = fmt.Fscan(out, &word)
			results <- word
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait()
		}()
	}
	got := map[string]int{}
	for range breakers {
		got[<-results]++
	}
	for _, in := range stdins {
		in.Close()
	}
	if got["passed"] != 1 || got["waits"] != breakers-1 {
		t.Errorf("%v", got)
	}
}

// TestHelperPass is a process of TestBreakOnce. It holds what it gets until its stdin ends.
func TestHelperPass(t *testing.T) {
	path := os.Getenv("FENCE_DIR")
	if path == "" {
		return // only TestBreakOnce runs it
	}
	d, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	f, _, err := gate(d, &said).Pass()
	word := "waits"
	if f != nil {
		word = "passed"
		err = f.Sign()
	}
	if err != nil {
		word = err.Error()
	}
	fmt.Println(word)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// FuzzParse: for any content of a fence, the holder that it names can be printed.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{}", "\n", "{}\n", `{"host":"a","pid":1,"start_time":2,"since":"2026-01-01T00:00:00Z"}` + "\n", `{"host":1}` + "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h := parse(text)
		if len(h.Host) > maxHost || h != (Holder{}) && !strings.Contains(string(text), "\n") {
			t.Errorf("%q: %+v", text, h)
		}
		_ = h.String()
	})
}

func TestKeptByExec(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.0": true, "5.11.0-rc1": true, "5.15.0-91-generic": true, "5.10.0-28-amd64": false, "5.4.0": false, "4.19.0": false, "": false, "next": false,
	} {
		if got := keptByExec(release); got != want {
			t.Errorf("%q: %t", release, got)
		}
	}
}
