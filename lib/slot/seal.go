//go:build linux

package slot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/profile"
	"hermes-s6/lib/script"
)

// A seal stands for a slot whose files were, byte by byte, those of a definition:
// a digest of the definition and of what stat(2) says of the files. While it is
// the same, neither has changed, since nobody can set a ctime. It spares a run
// that has nothing to do the reading of every file of every slot.
//
// Whose the directories are is looked at all the same: it is not sealed.
type seal [16]byte

// seals are those of a scan directory. They are kept in it, because they are
// worth as much as it is and go when it goes. A slot that has none is looked at
// closely, so what becomes of them does not matter.
type seals struct {
	old map[string]seal // by profile
	// before is when the newest file under an old seal must have been changed.
	// One that was changed later may have been changed again within the same
	// tick of the file system's clock, and would look the same.
	before time.Time

	mutex   sync.Mutex
	now     map[string]seal
	commons map[*script.Common][]byte // digests of what definitions have in common
}

const (
	sealFile = ".hermes-seals"
	maxSeals = 64 << 20
)

// ReadSeals makes Look and Put use seals and make new ones.
func (s *ScanDir) ReadSeals() {
	s.seals = &seals{old: map[string]seal{}, now: map[string]seal{}, commons: map[*script.Common][]byte{}}
	st, err := s.dir.Stat(sealFile)
	if err != nil {
		return
	}
	data, err := s.dir.Read(sealFile, maxSeals)
	if err != nil {
		return
	}
	// File systems take their time from this clock.
	var tick unix.Timespec
	if unix.ClockGetres(unix.CLOCK_REALTIME_COARSE, &tick) != nil {
		return
	}
	s.seals.before = time.Unix(st.Mtim.Unix()).Add(-time.Duration(tick.Nano()))
	for line := range strings.Lines(string(data)) {
		digest, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if b, err := hex.DecodeString(digest); err == nil && len(b) == len(seal{}) {
			s.seals.old[name] = seal(b)
		}
	}
}

// WriteSeals keeps the seals that Look and Put made since ReadSeals for the
// next run.
func (s *ScanDir) WriteSeals() error {
	var text bytes.Buffer
	for name, x := range s.seals.now {
		fmt.Fprintf(&text, "%x %s\n", x, name)
	}
	return s.dir.Replace(sealFile, 0o600, -1, -1, text.Bytes())
}

// sealed tells whether d's slot is as it was when it was last found to be what d
// defines.
func (s *ScanDir) sealed(d *script.Definition) bool {
	if s.seals == nil {
		return false
	}
	old, ok := s.seals.old[d.Profile]
	if !ok {
		return false
	}
	now, newest, err := s.seal(d)
	if err != nil || now != old || !newest.Before(s.seals.before) {
		return false
	}
	s.seals.keep(d.Profile, now)
	return true
}

// keepSeal seals d's slot, which has just been found, or made, to be d's.
func (s *ScanDir) keepSeal(d *script.Definition) {
	if s.seals == nil {
		return
	}
	if x, _, err := s.seal(d); err == nil {
		s.seals.keep(d.Profile, x)
	}
}

func (s *seals) keep(name string, x seal) {
	s.mutex.Lock()
	s.now[name] = x
	s.mutex.Unlock()
}

// seal makes the seal of d and its slot, and tells when the newest of the slot's
// files was changed.
func (s *ScanDir) seal(d *script.Definition) (x seal, newest time.Time, err error) {
	text := append(make([]byte, 0, 1024), s.seals.common(d.Common)...)
	text = fmt.Appendf(text, "%s %d %t %#v", d.Profile, d.Port, d.Down, *d.Settings)
	slot := profile.Slot(d.Profile)
	// That `down` comes or goes changes the slot's mtime. The slot is looked
	// at itself, first: were it a link, all the others would be elsewhere.
	for _, name := range []string{"", "/" + script.TypeFile, "/" + script.RunFile, "/" + script.FinishFile, "/" + script.TimeoutFile, "/" + script.LogDir + "/" + script.RunFile} {
		st, err := s.dir.Stat(slot + name)
		if err != nil {
			return x, newest, err
		}
		for _, n := range [...]uint64{st.Ino, uint64(st.Mode), uint64(st.Uid), uint64(st.Size), uint64(st.Mtim.Nano()), uint64(st.Ctim.Nano())} {
			text = binary.LittleEndian.AppendUint64(text, n)
		}
		if t := time.Unix(st.Ctim.Unix()); t.After(newest) {
			newest = t
		}
	}
	sum := sha256.Sum256(text)
	return seal(sum[:]), newest, nil
}

// common returns a digest of c and of how we write scripts for it.
func (s *seals) common(c *script.Common) []byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.commons[c] == nil {
		sum := sha256.New()
		for _, dialect := range []profile.Dialect{profile.Sh, profile.Execline} {
			sample := profile.Settings{Env: map[string]profile.Bytes{"KEY": "a value"}, Dialect: dialect}
			fmt.Fprint(sum, script.Render(&script.Definition{Common: c, Profile: "sample", Settings: &sample, Down: true}))
		}
		s.commons[c] = sum.Sum(nil)
	}
	return s.commons[c]
}
