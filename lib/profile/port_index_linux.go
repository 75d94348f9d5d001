package profile

import (
	"fmt"
	"slices"
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

// PortFiles are files that each name the port of one profile: records, or slots. The port in a
// slot changes only with the profile's record, or to what the record says.
type PortFiles struct {
	Dir      *dir.Dir                 // where the index is
	UID, GID int                      // owner of what we write in Dir; -1: ourselves
	Port     func(profile string) int // what the file says, 0 for nothing
}

// A PortIndex caches what PortFiles say. Checking an entry costs one stat(2): an entry is valid
// while the profile's record has the same inode number and ctime. So anybody can remove or
// write the index at any time. An index that lies about a file makes a gateway share a port,
// which the file itself could do as well.
type PortIndex struct {
	PortFiles
	// lines has an entry each, in the order of the names. It is what was read, and after ports
	// what is to be saved.
	lines []string
}

// An entry is what a file says, and the identity and ctime of the record when it said so.
type entry struct {
	port  int
	ino   uint64
	ctime int64 // ns
}

// Index reads the index of f.
func (f PortFiles) Index() *PortIndex {
	text, _ := f.Dir.Read(indexFile, maxIndex)
	return &PortIndex{f, strings.SplitAfter(string(text), "\n")}
}

// marks returns the marks of the records of names, the zero mark where there is no record. A
// profile is not among them if that cannot be known. stat(2) shows another machine's changes
// late, so it cannot on a file system that other machines can have mounted.
func (h *Home) marks(names []string) map[string]mark {
	marks := make(map[string]mark, len(names))
	if h.dir.Remote() {
		return marks
	}
	found, errs := make([]mark, len(names)), make([]error, len(names))
	par.Do(len(names), func(i int) { found[i], errs[i] = markOf(h.dir, h.path(names[i], settingsFile)) })
	for i, name := range names {
		if errs[i] == nil {
			marks[name] = found[i]
		}
	}
	return marks
}

// unrecorded reports whether marks say that profile name has no record.
func unrecorded(marks map[string]mark, name string) bool {
	m, known := marks[name]
	return known && m == (mark{})
}

// known returns the entry of name. One that cannot be read, or is not where it belongs, is as
// good as none. The ctime in a truncated line fits no file.
func (x *PortIndex) known(name string) (e entry, ok bool) {
	at, ok := slices.BinarySearchFunc(x.lines, name, func(line, name string) int {
		key, _, _ := strings.Cut(line, " ")
		return strings.Compare(key, name)
	})
	if !ok {
		return e, false
	}
	_, line, _ := strings.Cut(strings.TrimSuffix(x.lines[at], "\n"), " ")
	port, line, _ := strings.Cut(line, " ")
	ino, ctime, _ := strings.Cut(line, " ")
	var errs [3]error
	e.port, errs[0] = strconv.Atoi(port)
	e.ino, errs[1] = strconv.ParseUint(ino, 10, 64)
	e.ctime, errs[2] = strconv.ParseInt(ctime, 10, 64)
	return e, errs == [3]error{}
}

// ports returns what the files of names say, whose records have marks. If many had to be read,
// the index then holds all that are old enough, for save; else it holds nothing, since a process
// may keep it for long.
func (x *PortIndex) ports(names []string, marks map[string]mark, now time.Time) []int {
	found := make([]entry, len(names))
	read := make([]bool, len(names))
	par.Do(len(names), func(i int) { found[i], read[i] = x.look(names[i], marks[names[i]]) })
	old := func(e entry) bool { return e.ino != 0 && e.ctime <= now.Add(-settled).UnixNano() }
	missed := 0
	ports := make([]int, len(names))
	for i, e := range found {
		ports[i] = e.port
		if read[i] && old(e) {
			missed++
		}
	}
	x.lines = nil
	if missed > fewMissed {
		for i, e := range found {
			if old(e) {
				x.lines = append(x.lines, fmt.Sprintf("%s %d %d %d\n", names[i], e.port, e.ino, e.ctime))
			}
		}
		slices.Sort(x.lines) // in the order of the names: each byte of a name is above a space
	}
	return ports
}

// look returns what name's file says: from the index if its entry is valid, else from the file.
// m is from before, so the entry becomes invalid if the record changes in between.
func (x *PortIndex) look(name string, m mark) (e entry, read bool) {
	e = entry{ino: m.ino, ctime: m.ctime.Nano()}
	if known, ok := x.known(name); ok && e.ino != 0 && known.ino == e.ino && known.ctime == e.ctime {
		return known, false
	}
	e.port = x.Port(name)
	return e, true
}

// save writes the index if that is worth it. The index is never synced. Only the holder of the
// lock on the ports may call save, because two writers would share one file.
func (x *PortIndex) save() {
	if len(x.lines) == 0 {
		return
	}
	_ = x.Dir.ReplaceLater(indexFile, 0o600, x.UID, x.GID, []byte(strings.Join(x.lines, "")))
	x.lines = nil
}

// takeAll gives each of names except not the port that its file says, unless that is 0 or
// another profile has it.
func (p *Ports) takeAll(names []string, marks map[string]mark, not string, files *PortIndex) {
	p.read = append(p.read, files)
	for i, port := range files.ports(names, marks, time.Now()) {
		if port != 0 && names[i] != not {
			p.take(port, names[i])
		}
	}
}

// TakeSlots gives the profiles slots the ports that files, their slots, say.
func (h *Home) TakeSlots(p *Ports, slots []string, files *PortIndex) {
	p.takeAll(slots, h.marks(slots), "", files)
}

// Remember saves what had to be read, for later runs. Only the holder of the lock on the
// ports may call it.
func (p *Ports) Remember() {
	for _, files := range p.read {
		files.save()
	}
}
