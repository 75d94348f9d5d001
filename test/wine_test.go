//go:build linux

package test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hermes-s6/lib/must"
)

// aTask is the least that wine takes for a task.
const aTask = `<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><RegistrationInfo/><Triggers/><Settings/><Actions><Exec><Command>cmd.exe</Command></Exec></Actions></Task>
`

// TestWine runs our programs for Windows on wine, with its own schtasks and, for what that
// one cannot do, a stand-in (testdata/schtasks).
func TestWine(t *testing.T) {
	w := newWine(t)
	must.Do(t, os.WriteFile(filepath.Join(w.dir, "task.xml"), []byte(aTask), 0o644))
	for _, step := range []struct {
		name string
		test func(*testing.T)
	}{
		{"detect", w.testDetect}, {"schtasks of wine", w.testOwnSchtasks}, {"life", w.testLife},
		{"failures", w.testFailures}, {"console", w.testConsole}, {"current directory", w.testCurrentDirectory},
	} {
		t.Run(step.name, step.test)
	}
}

func (w *wine) testDetect(t *testing.T) {
	w.says(t, 0, "windows\n", "", "hermes-detect")
	w.says(t, 0, "", "", "hermes-detect", "--is", "windows")
	w.says(t, 1, "", "", "hermes-detect", "--is", "s6")
	w.says(t, 0, `{"kind":"windows","evidence":{"s6":{"/proc/1/comm":"","/run/s6/basedir":false},"systemd":{"/run/systemd/system":false,"systemctl":""},"launchd":{"os":"windows"},"windows":{"os":"windows"}}}`+"\n", "", "hermes-detect", "--json")
	w.says(t, 100, "", "hermes-svc: fatal: give start, stop or restart first\nhermes-svc: hint: try --help\n", "hermes-svc")
	w.says(t, 0, "", "", "hermes-svstat", "--list")
	w.says(t, 103, "", "hermes-svstat: fatal: -o: not available with service manager windows\nhermes-svstat: hint: --json shows what is\n", "hermes-svstat", "-o", "pid", "coder")
	if code, out := w.unix("wine", "hermes-svc.exe", "--help"); code != 0 || !strings.HasPrefix(out, "hermes-svc: ") || strings.Contains(out, "\r") {
		t.Errorf("--help: %d, %q", code, out)
	}
}

// testOwnSchtasks has wine's schtasks, which knows of our calls that they are calls: it exits
// 0 and says nothing.
func (w *wine) testOwnSchtasks(t *testing.T) {
	aside := filepath.Join(w.dir, "schtasks.aside")
	must.Do(t, os.Rename(filepath.Join(w.bin, "schtasks.exe"), aside))
	defer func() { must.Do(t, os.Rename(aside, filepath.Join(w.bin, "schtasks.exe"))) }()
	w.says(t, 0, `{"name":"coder","action":"started","pid":null,"killed":false}`+"\n", "", "hermes-svc", "start", "--json", "coder")
	w.says(t, 110, "NAME  STATE  PID\n", "hermes-svstat: fatal: schtasks: it does not say whether task Hermes_Gateway_coder runs\n", "hermes-svstat", "coder")
}

// testLife: gateways are started and stopped under their names, and what is asked for is
// recorded in a home with a name that takes quoting.
func (w *wine) testLife(t *testing.T) {
	state := filepath.Join(w.home, "profiles", "coder", "gateway_state.json")
	must.Do(t, os.WriteFile(state, []byte(`{"pid":7}`), 0o644))
	for _, task := range []string{"Hermes_Gateway", "Hermes_Gateway_coder"} {
		w.says(t, 0, "", "", "schtasks", "/Create", "/TN", task, "/XML", "task.xml")
	}
	status := func(code int, want string) {
		t.Helper()
		w.says(t, code, want, "", "hermes-svstat", "--json", "default", "coder")
	}
	status(1, `{"name":"default","up":false,"pid":null}`+"\n"+`{"name":"coder","up":false,"pid":null}`+"\n")
	w.says(t, 0, "", "", "hermes-svc", "start", "coder")
	status(1, `{"name":"default","up":false,"pid":null}`+"\n"+`{"name":"coder","up":true,"pid":null}`+"\n")
	w.says(t, 0, "", "", "hermes-svc", "restart", "default", "coder")
	status(0, `{"name":"default","up":true,"pid":null}`+"\n"+`{"name":"coder","up":true,"pid":null}`+"\n")
	w.says(t, 0, "", "", "hermes-svc", "stop", "--wait", "coder")
	w.says(t, 0, "", "", "hermes-svc", "stop", "coder") // and again
	w.says(t, 1, "NAME   STATE  PID\ncoder  down   -\n", "", "hermes-svstat", "coder")

	var recorded struct {
		PID     int    `json:"pid"`
		Desired string `json:"desired_state"`
	}
	text, err := os.ReadFile(state)
	must.Do(t, err)
	must.Do(t, json.Unmarshal(text, &recorded))
	if recorded.PID != 7 || recorded.Desired != "stopped" {
		t.Errorf("on record: %s", text)
	}
	// Inside a profile HERMES_HOME is the profile.
	w.says(t, 0, "", "", "hermes-svc", "start", "--home", onZ(w.home)+`\profiles\coder`, "coder")
	if text, err = os.ReadFile(state); err != nil || !strings.Contains(string(text), `"desired_state": "running"`) {
		t.Errorf("on record: %s, %v", text, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(state), ".gateway_state*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// testFailures: what schtasks says is in the system's code page, and counts for nothing.
func (w *wine) testFailures(t *testing.T) {
	w.schtasks(t, "says", "ERREUR : le fichier spécifié est introuvable.")
	w.says(t, 102, "", "hermes-svc: fatal: no such gateway 'writer': the task scheduler has no task Hermes_Gateway_writer (ERREUR : le fichier spécifié est introuvable.)\nhermes-svc: hint: `hermes gateway install` installs it\n", "hermes-svc", "start", "writer")
	// Some builds exit with 1, others with an HRESULT.
	for code, how := range map[string]string{"1": "exit status 1", "0x80070005": "exit status 0x80070005"} {
		w.schtasks(t, "denied", code)
		w.schtasks(t, "says", "ERREUR : Accès refusé.")
		for _, args := range [][]string{{"hermes-svc", "start", "coder"}, {"hermes-svc", "stop", "coder"}} {
			w.says(t, 110, "", "hermes-svc: fatal: schtasks: "+how+": ERREUR : Accès refusé.\n", args...)
		}
		w.says(t, 110, "", "hermes-svstat: fatal: schtasks: "+how+": ERREUR : Accès refusé.\n", "hermes-svstat", "--json", "coder")
	}
	must.Do(t, os.Remove(filepath.Join(w.bin, "denied")))
}

// testConsole is testFailures on a console, which has a code page of its own.
func (w *wine) testConsole(t *testing.T) {
	for page, says := range map[string]string{
		"850": "ERREUR : Accès refusé.",
		"866": "Ошибка: Отказано в доступе.",
		"932": "エラー: アクセスが拒否されました。",
	} {
		w.schtasks(t, "says", says)
		pty, tty := openPTY(t)
		go func() { _, _ = io.Copy(io.Discard, pty) }() // wine draws the console
		cmd := exec.Command("wine", "cmd", "/c", "chcp "+page+" >page & hermes-svc.exe start --timeout 600000 writer 2>said")
		cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = w.env, w.dir, tty, tty, tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		must.Do(t, cmd.Start())
		tty.Close()
		_ = cmd.Wait()
		said, err := os.ReadFile(filepath.Join(w.dir, "said"))
		must.Do(t, err)
		if want := "hermes-svc: fatal: no such gateway 'writer': the task scheduler has no task Hermes_Gateway_writer (" + says + ")\nhermes-svc: hint: `hermes gateway install` installs it\n"; string(said) != want {
			t.Errorf("code page %s: %q, want %q", page, said, want)
		}
		if now, err := os.ReadFile(filepath.Join(w.dir, "page")); err != nil || !strings.Contains(string(now), page) {
			t.Errorf("code page %s: the console has %q, %v", page, now, err)
		}
	}
}

// testCurrentDirectory: a program in the current directory is neither run, as it would be by
// Windows' own rules, nor in the way of the one on PATH.
func (w *wine) testCurrentDirectory(t *testing.T) {
	must.Do(t, os.WriteFile(filepath.Join(w.dir, "schtasks.exe"), nil, 0o755))
	w.says(t, 0, `{"name":"coder","up":true,"pid":null}`+"\n", "", "hermes-svstat", "--json", "coder")
}
