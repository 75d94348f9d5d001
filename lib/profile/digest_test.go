package profile

import (
	"crypto/sha256"
	"strings"
	"testing"
)

// TestDigest compares Digest with crypto/sha256, for every length at which a block can end.
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
