//go:build linux

package s6

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// A TAI64N is a point in time as s6 stores it: 8 bytes of seconds and 4 of nanoseconds,
// big-endian (tai64n(5); skalibs' tain_pack.c). Values compare as their bytes do.
type TAI64N [12]byte

// taiOffset is the label of 1970-01-01 plus TAI-UTC, which is 37 s since 2017. skalibs takes
// TAI-UTC from its table of leap seconds. If a leap second is inserted, times (not durations)
// are off by one until this is changed.
const taiOffset = 1<<62 + 37

func taiOf(t time.Time) (l TAI64N) {
	binary.BigEndian.PutUint64(l[:], uint64(t.Unix())+taiOffset)
	binary.BigEndian.PutUint32(l[8:], uint32(t.Nanosecond()))
	return l
}

// Time returns l as a time of day, UTC.
func (l TAI64N) Time() time.Time {
	return time.Unix(int64(l.sec()-taiOffset), int64(l.nano())).UTC()
}

func (l TAI64N) sec() uint64  { return binary.BigEndian.Uint64(l[:]) }
func (l TAI64N) nano() uint32 { return binary.BigEndian.Uint32(l[8:]) }

// until returns the whole seconds from l to now, without a sign, as tain_sub.c computes them.
func (l TAI64N) until(now TAI64N) uint64 {
	d := now.sec() - l.sec()
	if now.nano() < l.nano() {
		d--
	}
	return d
}

// String formats l as timestamp_fmt.c does.
func (l TAI64N) String() string { return fmt.Sprintf("@%x", l[:]) }

// Parse is the inverse of String. It returns false if s is not such a string.
func (l *TAI64N) Parse(s string) bool {
	if len(s) != 1+2*len(l) || s[0] != '@' {
		return false
	}
	_, err := hex.Decode(l[:], []byte(s[1:]))
	return err == nil
}
