//go:build linux

package slot

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestAwaitEach: what arrives exactly at the deadline counts as arrived, and the time is over
// when nothing has arrived for its length.
func TestAwaitEach(t *testing.T) {
	errGone := errors.New("gone")
	calls := 0
	errs := awaitEach(4, time.Minute, func(i int, _ time.Time) error {
		switch calls++; {
		case i == 0 && calls == 1, i == 3, i == 1 && calls < 6:
			return os.ErrDeadlineExceeded
		case i == 2:
			return errGone
		}
		return nil
	})
	want := []error{nil, nil, errGone, os.ErrDeadlineExceeded}
	if fmt.Sprint(errs) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", errs, want)
	}
}
