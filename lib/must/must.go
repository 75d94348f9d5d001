// Package must is for tests: a step that only prepares a test must not fail.
package must

import "testing"

// Do ends the test if one of errs is not nil.
func Do(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
