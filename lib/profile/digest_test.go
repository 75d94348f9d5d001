package profile

import (
	"crypto/sha256"
	"strings"
	"testing"
)

// TestDigest compares with the library's, at each length that a block can end at.
func TestDigest(t *testing.T) {
	for n := range 300 {
		for _, c := range []string{"a", "z9", "\x00", "\xff\x80é"} {
			name := strings.Repeat(c, n)
			want := sha256.Sum256([]byte(name))
			if got := Digest(name); got != [8]byte(want[:8]) {
				t.Fatalf("%d times %q: %x, want %x", n, c, got, want[:8])
			}
		}
	}
}
