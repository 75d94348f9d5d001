// Package must is for tests: what a test does before it looks at anything must not fail.
package must

import "testing"

// Do ends the test with the first of errs that is one.
func Do(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
