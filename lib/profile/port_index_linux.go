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

// PortFiles are files that each name the port of one profile: records, or slots.
type PortFiles struct {
	Dir      *dir.Dir                    // where they are, and the index
	UID, GID int                         // owner of what we write in Dir; -1: ourselves
	File     func(profile string) string // path in Dir
	Port     func(profile string) int    // what the file says, 0 for nothing
}

// A PortIndex caches what PortFiles say, in their directory. Checking an entry costs one
// stat(2) at most: an entry is valid while the file has the same inode number and ctime. A slot
// with the port on record is changed only after its record, or to the same port. So its entry
// has the identity of the record, and one stat shows that both are the same. Anybody can remove
// or write the index at any time. An index that lies about a file makes a gateway share a port,
// which the file itself could do as well.
type PortIndex struct {
	PortFiles
	local bool // there can be an index
	// lines has an entry each, in the order of the names. It is what was read, and after
	// entries what is to be saved.
	lines []string
}

// An entry is what a file says, and the identity and ctime of the file, or of the record, when
// it said so.
type entry struct {
	port  int
	ino   uint64 // 0: unknown
	ctime int64  // ns
}

// Index reads the index of f. stat(2) shows another machine's changes late, so there is no
// index on a file system that other machines can have mounted.
func (f PortFiles) Index() *PortIndex {
	x := &PortIndex{PortFiles: f, local: !f.Dir.Remote()}
	if x.local {
		text, _ := f.Dir.Read(indexFile, maxIndex)
		x.lines = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
	return x
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
	_, line, _ := strings.Cut(x.lines[at], " ")
	port, line, _ := strings.Cut(line, " ")
	ino, ctime, _ := strings.Cut(line, " ")
	var errs [3]error
	e.port, errs[0] = strconv.Atoi(port)
	e.ino, errs[1] = strconv.ParseUint(ino, 10, 64)
	e.ctime, errs[2] = strconv.ParseInt(ctime, 10, 64)
	return e, errs == [3]error{}
}

// entries returns what the files of names say. If they are slots, records has what is on
// record. If many had to be read, the index then holds all that are old enough, for save; else
// it holds nothing, since a process may keep it for long.
func (x *PortIndex) entries(names []string, records map[string]entry, now time.Time) map[string]entry {
	found := make([]entry, len(names))
	read := make([]bool, len(names))
	par.Do(len(names), func(i int) { found[i], read[i] = x.look(names[i], records[names[i]]) })
	old := func(e entry) bool { return e.ino != 0 && e.ctime <= now.Add(-settled).UnixNano() }
	missed := 0
	entries := make(map[string]entry, len(names))
	for i, e := range found {
		entries[names[i]] = e
		if read[i] && old(e) {
			missed++
		}
	}
	x.lines = nil
	if missed > fewMissed {
		for name, e := range entries {
			if old(e) {
				x.lines = append(x.lines, fmt.Sprintf("%s %d %d %d", name, e.port, e.ino, e.ctime))
			}
		}
		slices.Sort(x.lines) // in the order of the names: each byte of a name is above a space
	}
	return entries
}

// look returns what name's file says: from the index if its entry is valid, else from the file.
// The identity is older than what is read, so the entry becomes invalid if the file changes in
// between.
func (x *PortIndex) look(name string, record entry) (e entry, read bool) {
	recorded := record.ino != 0 && record.port != 0
	if recorded {
		e.ino, e.ctime = record.ino, record.ctime
	} else if x.local {
		m, err := markOf(x.Dir, x.File(name))
		if err == nil && m == (mark{}) {
			return e, false
		}
		e.ino, e.ctime = m.ino, m.ctime.Nano()
	}
	if known, ok := x.known(name); ok && e.ino != 0 && known.ino == e.ino && known.ctime == e.ctime {
		return known, false
	}
	if e.port = x.Port(name); recorded && e.port != record.port {
		e.ino = 0 // it may get the port on record without a change of the record
	}
	return e, true
}

// save writes the index if that is worth it. The index is never synced. Only the holder of the
// lock on the ports may call save, because two writers would share one file.
func (x *PortIndex) save() {
	if len(x.lines) == 0 {
		return
	}
	_ = x.Dir.ReplaceLater(indexFile, 0o600, x.UID, x.GID, []byte(strings.Join(x.lines, "\n")+"\n"))
	x.lines = nil
}

// takeAll gives each of names except not the port that its entry has, unless that is 0 or
// another profile has it.
func (p *Ports) takeAll(names []string, entries map[string]entry, not string) {
	for _, name := range names {
		if port := entries[name].port; port != 0 && name != not {
			p.take(port, name)
		}
	}
}

// takeSlots gives the profiles slots, except not, the ports that files say. records are what is
// on record.
func (p *Ports) takeSlots(slots []string, files PortFiles, records map[string]entry, not string) {
	index := files.Index()
	p.read = append(p.read, index)
	p.takeAll(slots, index.entries(slots, records, time.Now()), not)
}

// TakeSlots gives the profiles slots the ports that files, their slots, say.
func (h *Home) TakeSlots(p *Ports, slots []string, files PortFiles) {
	p.takeSlots(slots, files, h.records().Index().entries(slots, nil, time.Now()), "")
}

// Remember saves what had to be read, for later runs. Only the holder of the lock on the
// ports may call it.
func (p *Ports) Remember() {
	for _, files := range p.read {
		files.save()
	}
}
