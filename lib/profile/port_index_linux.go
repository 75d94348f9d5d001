package profile

import (
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/par"
)

// indexFile holds a PortIndex. No profile or service directory has a dot in its name, and
// s6-svscan skips names that begin with one.
const indexFile = ".gateway.ports"

// maxIndex is more than the index of 50,000 profiles takes.
const maxIndex = 4 << 20

// settled is how old a file must be to be indexed. A file that changes twice in quick
// succession may keep the same timestamps; the coarsest file systems count in 2 seconds.
const settled = 2 * time.Second

// fewMissed is the number of files up to which reading them each time beats writing the index.
const fewMissed = 16

// PortFiles are files that each name the port of one profile.
type PortFiles struct {
	Dir      *dir.Dir
	UID, GID int                         // owner of what we write in Dir; -1: ourselves
	File     func(profile string) string // path in Dir
	Port     func(profile string) int    // what the file says, 0 for nothing
}

// A PortIndex caches what PortFiles say, in their directory. Checking an entry costs one
// stat(2) per file: an entry is valid while the file has the same inode number and ctime. So
// anybody can remove or write the index at any time. An index that lies about a file makes a
// gateway share a port, which the file itself could do as well.
type PortIndex struct {
	PortFiles
	entries map[string]entry // nil: there is no index, or nothing to save
}

// An entry is what a file says, and the file's identity and ctime when it said so.
type entry struct {
	port  int
	ino   uint64
	ctime int64 // ns
}

// Index reads the index of f. stat(2) shows another machine's changes late, so there is no
// index on a file system that other machines can have mounted.
func (f PortFiles) Index() *PortIndex {
	x := &PortIndex{PortFiles: f}
	if f.Dir.Remote() {
		return x
	}
	x.entries = map[string]entry{}
	text, _ := f.Dir.Read(indexFile, maxIndex)
	for line := range strings.Lines(string(text)) {
		if name, e, ok := parseEntry(line); ok {
			x.entries[name] = e
		}
	}
	return x
}

// parseEntry parses a line of the index. The ctime in a truncated line fits no file.
func parseEntry(line string) (name string, e entry, ok bool) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(fields) != 4 {
		return "", e, false
	}
	var errs [3]error
	e.port, errs[0] = strconv.Atoi(fields[1])
	e.ino, errs[1] = strconv.ParseUint(fields[2], 10, 64)
	e.ctime, errs[2] = strconv.ParseInt(fields[3], 10, 64)
	return fields[0], e, errs == [3]error{}
}

// ports returns what the files of names say. If many had to be read, the index then holds all
// that are old enough, for save; else it holds nothing, since a process may keep it for long.
func (x *PortIndex) ports(names []string, now time.Time) []int {
	found := make([]entry, len(names))
	read := make([]bool, len(names))
	par.Do(len(names), func(i int) { found[i], read[i] = x.look(names[i]) })
	old := func(e entry) bool { return e.ino != 0 && e.ctime <= now.Add(-settled).UnixNano() }
	missed := 0
	ports := make([]int, len(names))
	for i, e := range found {
		ports[i] = e.port
		if read[i] && old(e) {
			missed++
		}
	}
	x.entries = nil
	if missed <= fewMissed {
		return ports
	}
	x.entries = make(map[string]entry, len(names))
	for i, e := range found {
		if old(e) {
			x.entries[names[i]] = e
		}
	}
	return ports
}

// look returns what name's file says: from the index if its entry is valid, else from the
// file. It calls stat before it reads, so the entry becomes invalid if the file changes in
// between.
func (x *PortIndex) look(name string) (e entry, read bool) {
	if x.entries != nil {
		m, err := markOf(x.Dir, x.File(name))
		if err == nil && m == (mark{}) {
			return e, false
		}
		e = entry{ino: m.ino, ctime: m.ctime.Nano()}
		if known := x.entries[name]; err == nil && known.ino == e.ino && known.ctime == e.ctime {
			return known, false
		}
	}
	e.port = x.Port(name)
	return e, true
}

// save writes the index if that is worth it. The index is never synced. Only the holder of the
// lock on the ports may call save, because two writers would share one file.
func (x *PortIndex) save() {
	if x.entries == nil {
		return
	}
	var text []byte
	for name, e := range x.entries {
		text = append(append(text, name...), ' ')
		text = append(strconv.AppendInt(text, int64(e.port), 10), ' ')
		text = append(strconv.AppendUint(text, e.ino, 10), ' ')
		text = append(strconv.AppendInt(text, e.ctime, 10), '\n')
	}
	_ = x.Dir.ReplaceLater(indexFile, 0o600, x.UID, x.GID, text)
	x.entries = nil
}

// TakeAll gives each of names except not the port that its file says, unless that is 0 or
// another profile has it.
func (p *Ports) TakeAll(names []string, not string, files *PortIndex) {
	p.read = append(p.read, files)
	for i, port := range files.ports(names, time.Now()) {
		if port != 0 && names[i] != not {
			p.take(port, names[i])
		}
	}
}

// Remember saves what TakeAll had to read, for later runs. Only the holder of the lock on the
// ports may call it.
func (p *Ports) Remember() {
	for _, files := range p.read {
		files.save()
	}
}
