package profile

import (
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/par"
)

// indexFile is where a PortIndex is kept. No profile and no service directory has a name
// with a dot in it, and s6-svscan skips what begins with one.
const indexFile = ".gateway.ports"

// maxIndex is more than the index of 50,000 profiles.
const maxIndex = 4 << 20

// settled is how old a file must be to be indexed. One that is changed twice at once may have
// the same timestamps both times; the coarsest file systems count in 2 seconds.
const settled = 2 * time.Second

// fewMissed are as many files as are rather read each time than written to the index.
const fewMissed = 16

// PortFiles are files of which each names the port of one profile.
type PortFiles struct {
	Dir      *dir.Dir
	UID, GID int                         // of whom what we write in Dir is to be; -1: us
	File     func(profile string) string // path in Dir
	Port     func(profile string) int    // what the file says, 0 for nothing
}

// A PortIndex remembers what PortFiles say, in their directory. It costs one stat(2) a file to
// know whether it still says that: an entry counts while the file has the same inode number
// and ctime. So the index can be removed, or written by anybody, at any time; one that lies
// about a file has a gateway share a port, which the file itself could have as well.
type PortIndex struct {
	PortFiles
	entries map[string]entry // nil: there is no index
	missed  int              // files that had to be read, though they are old enough to be indexed
}

// An entry is what a file says, and which content of which file says it.
type entry struct {
	port  int
	ino   uint64
	ctime int64 // ns
}

// Index reads the index of f. Another machine's changes show late in what stat(2) says, so a
// file system that others can have mounted has none.
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

// parseEntry reads a line of the index. One that was cut off has the ctime of no file.
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

// ports returns what the files of names say. From then on the index is about those of them
// that are old enough.
func (x *PortIndex) ports(names []string, now time.Time) []int {
	found := make([]entry, len(names))
	read := make([]bool, len(names))
	par.Do(len(names), func(i int) { found[i], read[i] = x.look(names[i]) })
	known := x.entries != nil
	x.entries = make(map[string]entry, len(names))
	latest := now.Add(-settled).UnixNano()
	ports := make([]int, len(names))
	for i, e := range found {
		ports[i] = e.port
		if !known || e.ino == 0 || e.ctime > latest {
			continue
		}
		x.entries[names[i]] = e
		if read[i] {
			x.missed++
		}
	}
	return ports
}

// look returns what name's file says: as the index has it, or, where that has another content
// or none of it, read. It is looked at before it is read: what changes in between does not
// fit the entry any more.
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

// save writes the index, where that is worth it. It need not be on the disk at any time. Only
// who has the ports locked may, or two would write to one file.
func (x *PortIndex) save() {
	if x.missed <= fewMissed {
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
	x.missed = 0
}

// TakeAll gives each of names but not the port that its file says, unless that is 0, or
// another has it.
func (p *Ports) TakeAll(names []string, not string, files *PortIndex) {
	p.read = append(p.read, files)
	for i, port := range files.ports(names, time.Now()) {
		if port != 0 && names[i] != not {
			p.take(port, names[i])
		}
	}
}

// Remember saves what TakeAll had to read for the next of us. Only who has the ports locked
// may.
func (p *Ports) Remember() {
	for _, files := range p.read {
		files.save()
	}
}
