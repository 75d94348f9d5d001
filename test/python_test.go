//go:build linux

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hermes-s6/lib/must"
)

// TestPython runs the tests of the Python module, and those of the interface that it must
// have, with the binaries as they are shipped.
func TestPython(t *testing.T) {
	programs := static(t)
	for name, args := range map[string][]string{"module": {"-v"}, "interface": {"discover", "-v", "-s", "compat"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Development mode reports files and processes that are left open.
			cmd := exec.Command("python3", append([]string{"-X", "dev", "-W", "error", "-m", "unittest"}, args...)...)
			cmd.Dir = "python"
			cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v; where python3 is missing, run `make deps`\n%s", err, out)
			}
		})
	}
}

// TestPythonInstall: pip installs the module with what Debian has, without a network, and
// installs only the module and its licence.
func TestPythonInstall(t *testing.T) {
	needSource(t)
	// pip builds in the source directory, and leaves files there.
	source, target := t.TempDir(), t.TempDir()
	for _, name := range []string{"pyproject.toml", "hermes_s6.py", "README.md", "LICENSE"} {
		data, err := os.ReadFile(filepath.Join("python", name))
		must.Do(t, err)
		must.Do(t, os.WriteFile(filepath.Join(source, name), data, 0o644))
	}
	python := "/usr/bin/python3" // another one on PATH may lack the modules, or have its own
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	run := func(dir string, args ...string) string {
		cmd := exec.Command(python, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+target, "PIP_CONFIG_FILE=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v; where a module is missing, run `make deps`\n%s", python, args, err, out)
		}
		return string(out)
	}
	run(source, "-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-compile", "--target", target, ".")
	want := "hermes-s6 0 >=3.9 " + filepath.Join(target, "hermes_s6.py") + "\n"
	got := run(t.TempDir(), "-c", "import hermes_s6, importlib.metadata as m; d = m.distribution('hermes-s6'); "+
		"print(d.metadata['Name'], d.version, d.metadata['Requires-Python'], hermes_s6.__file__)")
	if got != want {
		t.Errorf("got %swant %s", got, want)
	}
	entries, err := filepath.Glob(target + "/*")
	must.Do(t, err)
	licences, _ := filepath.Glob(target + "/*.dist-info/LICENSE")
	newer, _ := filepath.Glob(target + "/*.dist-info/licenses/LICENSE") // setuptools 77 and later
	if len(entries) != 2 || len(licences)+len(newer) != 1 {
		t.Errorf("installed: %v, with the licences %v", entries, append(licences, newer...))
	}
}
