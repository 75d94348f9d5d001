package cli

import (
	"strings"
	"testing"
	"unsafe"
)

// TestExcerpt: an excerpt of a long text does not keep the whole text in memory.
func TestExcerpt(t *testing.T) {
	for _, long := range []string{strings.Repeat("a", 1<<16), strings.Repeat("a ", 1<<15), "short"} {
		got := Excerpt(long, 200)
		if want := strings.TrimSpace(long[:min(len(long), 200)]); strings.TrimSpace(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
		begin, at := uintptr(unsafe.Pointer(unsafe.StringData(long))), uintptr(unsafe.Pointer(unsafe.StringData(got)))
		if at >= begin && at < begin+uintptr(len(long)) {
			t.Errorf("%.10q… is kept", long)
		}
	}
}
