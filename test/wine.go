//go:build linux

package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/must"
)

// A wine is our programs for Windows, on wine without a display, with schtasks of the test's
// first on PATH.
type wine struct {
	dir  string // of our programs, which is the current directory
	bin  string // of schtasks
	home string
	env  []string
}

// wineLimit is how long any program may take on it: some hang for ever.
const wineLimit = 10 * time.Minute

func newWine(t *testing.T) *wine {
	t.Helper()
	needSource(t)
	if runtime.GOARCH != "amd64" {
		leaveOut(t, "wine is tried on amd64 alone")
	}
	for _, program := range []string{"wine", "wineserver"} {
		if _, err := exec.LookPath(program); err != nil {
			leaveOut(t, "there is no %s on this machine", program)
		}
	}
	// What wine makes of itself, 700 MB, is no load for a temporary directory in memory.
	prefix, err := os.MkdirTemp("/var/tmp", "hermes-wine-")
	must.Do(t, err)
	dir := t.TempDir()
	w := &wine{dir: filepath.Join(dir, "programs"), bin: filepath.Join(dir, "bin"), home: filepath.Join(dir, "a home é")}
	for _, d := range []string{w.dir, w.bin, filepath.Join(w.home, "profiles", "coder")} {
		must.Do(t, os.MkdirAll(d, 0o755))
	}
	w.env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "DISPLAY=") || strings.HasPrefix(kv, "HERMES_")
	}), "WINEPREFIX="+prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe=", "HOME="+dir, "WINEPATH="+onZ(w.bin), "LC_ALL=C.UTF-8", "HERMES_HOME="+onZ(w.home))
	t.Cleanup(func() {
		w.unix("wineserver", "-k")
		os.RemoveAll(prefix)
	})
	if code, out := w.unix("wine", "wineboot", "-i"); code != 0 {
		t.Fatalf("wineboot: %d: %s", code, out)
	}
	w.unix("wineserver", "-w") // services that began before all was there are no use
	w.stay(t)
	random(t, prefix)
	windows := []string{"GOOS=windows"}
	must.Do(t, buildFor(windows, w.dir+"/", "./cmd/hermes-detect", "./cmd/hermes-svc", "./cmd/hermes-svstat"))
	must.Do(t, buildFor(windows, filepath.Join(w.bin, "schtasks.exe"), "./testdata/schtasks"))
	return w
}

// stay keeps wine's services, which come and go with its programs, for as long as the test.
func (w *wine) stay(t *testing.T) {
	t.Helper()
	cmd := exec.Command("wine", "cmd")
	cmd.Env = w.env
	input, err := cmd.StdinPipe() // its end is cmd's
	must.Do(t, err)
	must.Do(t, cmd.Start())
	t.Cleanup(func() { input.Close() })
	go func() { _ = cmd.Wait() }()
}

// random gives a wine that is older than 9 the library that Go has random numbers from: one
// without code, that passes the call on.
func random(t *testing.T, prefix string) {
	t.Helper()
	dll := filepath.Join(prefix, "drive_c/windows/system32/bcryptprimitives.dll")
	if _, err := os.Stat(dll); err == nil {
		return
	}
	def := filepath.Join(t.TempDir(), "random.def")
	must.Do(t, os.WriteFile(def, []byte("LIBRARY bcryptprimitives.dll\nEXPORTS\n ProcessPrng = advapi32.SystemFunction036\n"), 0o644))
	if out, err := exec.Command("ld", "-m", "i386pep", "-shared", def, "-o", dll).CombinedOutput(); err != nil {
		leaveOut(t, "wine has no bcryptprimitives.dll, and ld makes none: %s", out)
	}
}

// onZ is where Windows' programs find a path of Unix.
func onZ(path string) string { return "Z:" + strings.ReplaceAll(path, "/", `\`) }

// unix runs a program of this system on the prefix, and returns what it printed.
func (w *wine) unix(name string, args ...string) (code int, out string) {
	code, stdout, stderr := w.exec(name, args...)
	return code, stdout + stderr
}

// exec runs a program. What it prints goes to files, since wine's services, which may come
// with it, have its descriptors and stay.
func (w *wine) exec(name string, args ...string) (code int, stdout, stderr string) {
	ctx, cancel := context.WithTimeout(context.Background(), wineLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = w.env, w.dir
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp(w.dir, "printed")
		if err != nil {
			return -1, "", err.Error()
		}
		defer os.Remove(f.Name())
		defer f.Close()
		files[i] = f
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	if err := cmd.Run(); cmd.ProcessState == nil {
		return -1, "", err.Error()
	}
	out, _ := os.ReadFile(files[0].Name())
	errs, _ := os.ReadFile(files[1].Name())
	return cmd.ProcessState.ExitCode(), string(out), string(errs)
}

// says runs one of our programs, which must exit with code and print this, each whole.
func (w *wine) says(t *testing.T, code int, stdout, stderr string, command ...string) {
	t.Helper()
	got, out, errs := w.exec("wine", append([]string{command[0] + ".exe"}, patient(command)...)...)
	if got != code || out != stdout || errs != stderr {
		t.Errorf("%v: %d, %q, %q; want %d, %q, %q", command, got, out, errs, code, stdout, stderr)
	}
}

// schtasks lets the stand-in have a file.
func (w *wine) schtasks(t *testing.T, file, text string) {
	t.Helper()
	must.Do(t, os.WriteFile(filepath.Join(w.bin, file), []byte(text), 0o644))
}
