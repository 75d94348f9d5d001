//go:build linux

package test

import (
	"os"
	"os/exec"
	"testing"
)

// TestPython runs the tests of the Python module, and those of the interface that it is
// to have, on the binaries as they are shipped.
func TestPython(t *testing.T) {
	programs := static(t)
	for name, args := range map[string][]string{"module": {"-v"}, "interface": {"discover", "-v", "-s", "compat"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Development mode shows files and processes that are left open.
			cmd := exec.Command("python3", append([]string{"-X", "dev", "-W", "error", "-m", "unittest"}, args...)...)
			cmd.Dir = "python"
			cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v; where python3 is missing, run `make deps`\n%s", err, out)
			}
		})
	}
}
