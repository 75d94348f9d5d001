package profile

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/must"
)

// An indexedHome has profiles with records, enough of them for an index.
type indexedHome struct {
	*testing.T
	home  *Home
	dir   string
	names []string
	reads map[string]bool
	now   time.Time
}

func newIndexedHome(t *testing.T) *indexedHome {
	h, dir := newHome(t)
	if h.dir.Remote() {
		t.Skip("the file system of TMPDIR is one that has no index of ports")
	}
	x := &indexedHome{T: t, home: h, dir: dir, now: time.Now().Add(settled + time.Minute)}
	for i := range 25 { // more than fewMissed, and no power of two
		x.names = append(x.names, fmt.Sprintf("p%02d", i))
		must.Do(t, os.MkdirAll(filepath.Dir(x.record(x.names[i])), 0o755))
		x.write(x.names[i], 9200+i)
	}
	return x
}

func (x *indexedHome) record(name string) string {
	return filepath.Join(x.dir, "profiles", name, settingsFile)
}
func (x *indexedHome) index() string { return filepath.Join(x.dir, indexFile) }

func (x *indexedHome) write(name string, port int) {
	must.Do(x, os.WriteFile(x.record(name), fmt.Appendf(nil, `{"derived_port": %d}`, port), 0o600))
}

// ports reads the index of records, returns what it says, and saves it.
func (x *indexedHome) ports() map[string]int { return x.said(x.home.records(), nil) }

// said is what files, or their index, say.
func (x *indexedHome) said(files PortFiles, records map[string]entry) map[string]int {
	x.reads = map[string]bool{}
	read := make(chan string, 2*len(x.names))
	port := files.Port
	files.Port = func(name string) int { read <- name; return port(name) }
	index := files.Index()
	said := map[string]int{}
	for name, e := range index.entries(x.names, records, x.now) {
		said[name] = e.port
	}
	index.save()
	for close(read); ; {
		name, ok := <-read
		if !ok {
			return said
		}
		x.reads[name] = true
	}
}

// TestPortIndexOfSlots: a slot with the port on record is read again when the record has
// changed, any other slot when it has changed itself.
func TestPortIndexOfSlots(t *testing.T) {
	x := newIndexedHome(t)
	at := t.TempDir()
	scan, err := dir.Open(at)
	must.Do(t, err)
	defer scan.Close()
	slots := map[string]int{}
	write := func(name string, port int) {
		slots[name] = port
		must.Do(t, os.WriteFile(filepath.Join(at, name), []byte(strconv.Itoa(port)), 0o600))
	}
	for i, name := range x.names {
		write(name, 9200+i)
	}
	other, gone, none := x.names[1], x.names[2], x.names[3]
	write(other, 9700)
	must.Do(t, os.Remove(x.record(gone)))
	must.Do(t, os.RemoveAll(filepath.Dir(x.record(none))))
	files := PortFiles{Dir: scan, UID: -1, GID: -1, File: func(name string) string { return name }, Port: func(name string) int {
		text, _ := os.ReadFile(filepath.Join(at, name))
		port, _ := strconv.Atoi(string(text))
		return port
	}}
	said := func(what string, reads ...string) {
		t.Helper()
		records := x.home.records().Index().entries(x.names, nil, x.now)
		if got := x.said(files, records); !maps.Equal(got, slots) {
			t.Errorf("%s: ports\n%v, want\n%v", what, got, slots)
		}
		if got := slices.Sorted(maps.Keys(x.reads)); !slices.Equal(got, reads) {
			t.Errorf("%s: read %v, want %v", what, got, reads)
		}
	}
	said("at first", x.names...)
	said("nothing changed", other) // may get the port on record at any time
	write(other, 9201)
	said("as its record", other)
	x.write(x.names[4], 9704)
	write(x.names[4], 9704)
	write(gone, 9702)
	write(none, 9703)
	said("all changed", other, gone, none, x.names[4])
	slots[x.names[5]] = 0
	must.Do(t, os.Remove(filepath.Join(at, x.names[5])))
	must.Do(t, os.Remove(x.record(x.names[5])))
	said("unregistered", other, gone, none, x.names[4])
}

// TestPortIndex: an index says what the records say, whatever happens to them and to it.
func TestPortIndex(t *testing.T) {
	x := newIndexedHome(t)
	first := x.ports()
	if len(x.reads) != len(x.names) {
		t.Fatalf("at first %d of %d records were read", len(x.reads), len(x.names))
	}
	same := func(what string, want map[string]int, reads ...string) {
		t.Helper()
		if got := x.ports(); !maps.Equal(got, want) {
			t.Errorf("%s: ports\n%v, want\n%v", what, got, want)
		}
		wanted := map[string]bool{}
		for _, name := range reads {
			wanted[name] = true
		}
		if !maps.Equal(x.reads, wanted) {
			t.Errorf("%s: read %v, want %v", what, x.reads, wanted)
		}
	}
	same("nothing changed", first)

	want := maps.Clone(first)
	x.write("p01", 9700) // same length, same file
	want["p01"] = 9700
	must.Do(t, os.Rename(x.record("p02"), x.record("p03"))) // both are old
	want["p02"], want["p03"] = 0, first["p02"]
	must.Do(t, os.Remove(x.record("p04")))
	want["p04"] = 0
	must.Do(t, os.RemoveAll(filepath.Dir(x.record("p05"))))
	want["p05"] = 0
	must.Do(t, os.Rename(filepath.Dir(x.record("p06")), filepath.Join(x.dir, "profiles", "other")))
	must.Do(t, os.Rename(filepath.Dir(x.record("p07")), filepath.Dir(x.record("p06"))))
	want["p06"], want["p07"] = first["p07"], 0
	same("records changed", want, "p01", "p03", "p06")

	// A copy with the original's timestamps is another file.
	must.Do(t, os.Rename(x.record("p08"), x.record("p08")+".old"))
	x.write("p08", 9701)
	st, err := os.Stat(x.record("p08") + ".old")
	must.Do(t, err)
	must.Do(t, os.Chtimes(x.record("p08"), st.ModTime(), st.ModTime()))
	want["p08"] = 9701
	same("a record with another's mtime", want, "p01", "p03", "p06", "p08")
}

// TestPortIndexYoung: a file that may have changed unnoticed since it was read is not indexed.
func TestPortIndexYoung(t *testing.T) {
	x := newIndexedHome(t)
	x.now = time.Now()
	x.ports()
	if _, err := os.Lstat(x.index()); err == nil {
		t.Error("records of this moment are in an index")
	}
	if x.ports(); len(x.reads) != len(x.names) {
		t.Errorf("%d of %d young records were read", len(x.reads), len(x.names))
	}
}

// TestPortIndexHostile: whatever the account puts in the index's place, the records count.
func TestPortIndexHostile(t *testing.T) {
	x := newIndexedHome(t)
	want := x.ports()
	text, err := os.ReadFile(x.index())
	must.Do(t, err)
	written := string(text)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must.Do(t, os.WriteFile(elsewhere, []byte("kept"), 0o600))
	put := func(text string) func() error {
		return func() error { return os.WriteFile(x.index(), []byte(text), 0o600) }
	}
	for what, plant := range map[string]func() error{
		"empty":        put(""),
		"zeros":        put(string(make([]byte, len(written)))),
		"cut off":      put(written[:len(written)/2]),
		"one line":     put(strings.ReplaceAll(written, "\n", " ")),
		"lines of it":  put(strings.ReplaceAll(written, " ", "\n")),
		"of another":   put(strings.ReplaceAll(written, "p", "q")),
		"no numbers":   put("p01 a b c\np02 9 -1 9\np03 1 2 3 4\n \n"),
		"other ctimes": put(regexp.MustCompile(`(?m) \d+ (\d+) 1`).ReplaceAllString(written, " 9800 $1 2")),
		"other inodes": put(regexp.MustCompile(`(?m) \d+ (\d+) `).ReplaceAllString(written, " 9800 ${1}1 ")),
		"too large":    put(strings.Repeat("x", maxIndex+1)),
		"a link":       func() error { return os.Symlink(elsewhere, x.index()) },
		"a FIFO":       func() error { return syscall.Mkfifo(x.index(), 0o600) },
		"a directory":  func() error { return os.MkdirAll(filepath.Join(x.index(), "full"), 0o755) },
		"no more file": func() error { return nil },
	} {
		must.Do(t, os.RemoveAll(x.index()))
		must.Do(t, plant())
		if got := x.ports(); !maps.Equal(got, want) {
			t.Errorf("%s: ports\n%v, want\n%v", what, got, want)
		}
		if text, err := os.ReadFile(elsewhere); err != nil || string(text) != "kept" {
			t.Errorf("%s: the file that a link leads to has %q now, %v", what, text, err)
		}
		if st, err := os.Lstat(x.index()); what != "a directory" && (err != nil || !st.Mode().IsRegular()) {
			t.Errorf("%s: afterwards %v, %v; want an index", what, st, err)
		}
	}
}
