//go:build linux

// The scripts below testdata/script are the specification of the binaries, each of what its
// name says. They run on a real s6-svscan.
package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hermes-s6/lib/s6/s6test"
)

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "traceable": // strace exists, and may trace
				return exec.Command("strace", "-o", "/dev/null", "true").Run() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"svscan":      cmdSvscan,
			"svscan-kill": cmdSvscanKill,
			"fence":       cmdFence,
			"talks":       cmdTalks,
			"await":       cmdAwait,
			"code":        cmdCode,
			"idle":        cmdIdle,
			"bytes":       cmdBytes,
			"mode":        cmdMode,
			"tmpfs":       cmdTmpfs,
			"readonly":    cmdReadonly,
			"left-out":    cmdLeftOut,
		},
	})
}

// started counts the scripts that were begun, of which the first few are run in any case.
var started atomic.Int32

const firstFew = 10

// setup gives each script what furnish makes, and the variables that name it. After
// HERMES_TEST_UNTIL, in seconds since 1970, it leaves the script out.
func setup(env *testscript.Env) error {
	until, err := strconv.ParseInt(os.Getenv("HERMES_TEST_UNTIL"), 10, 64)
	if err == nil && started.Add(1) > firstFew && time.Now().Unix() > until {
		note("%s: left out: there was no time left", env.T().(testing.TB).Name())
		env.T().Skip()
	}
	account, err := furnish(env.WorkDir)
	if err != nil {
		return err
	}
	work := func(name string) string { return filepath.Join(env.WorkDir, name) }
	env.Setenv("PATH", work("bin")+":"+env.Getenv("PATH"))
	env.Setenv("HERMES_HOME", work("home"))
	env.Setenv("HERMES_USER", account.Username)
	env.Setenv("HERMES_SERVICE_MANAGER", "s6")
	env.Setenv("S6_PROFILE_GATEWAY_SCANDIR", work("scan"))
	env.Setenv("ACCOUNT_HOME", account.HomeDir)
	env.Setenv("ACCOUNT_NAME", account.Username)
	env.Setenv("GORACE", os.Getenv("GORACE"))
	env.Values["T"] = env.T()
	env.Values["trees"] = map[string]*s6test.Svscan{}
	return nil
}

func tree(ts *testscript.TestScript) *s6test.Svscan {
	s := ts.Value("trees").(map[string]*s6test.Svscan)["tree"]
	if s == nil {
		ts.Fatalf("svscan was not run")
	}
	return s
}

// svscan [max=N]: runs s6-svscan on the scan directory until the script ends, for at most N
// services. A process of the tree that outlives it fails the script.
func cmdSvscan(ts *testscript.TestScript, neg bool, args []string) {
	env := []string{}
	for _, key := range []string{"PATH", "HERMES_HOME", "HERMES_CRASH_LIMIT", "HERMES_FENCE", "HERMES_LOG_PREFIX", "HERMES_STANDBY_DELAY"} {
		if v := ts.Getenv(key); v != "" {
			env = append(env, key+"="+v)
		}
	}
	if len(args) == 1 {
		max, err := strconv.Atoi(strings.TrimPrefix(args[0], "max="))
		ts.Check(err)
		args = s6test.MaxServices(max)
	}
	s, err := s6test.Run(ts.Getenv("S6_PROFILE_GATEWAY_SCANDIR"), env, args...)
	ts.Check(err)
	ts.Value("trees").(map[string]*s6test.Svscan)["tree"] = s
	ts.Defer(func() {
		if err := s.Stop(); err != nil {
			ts.Value("T").(testscript.T).Fatal(err)
		}
	})
}

// fence: gives gateways, which run as the account, a hermes-fence. Without this command they
// have none, as after an incomplete upgrade.
func cmdFence(ts *testscript.TestScript, neg bool, args []string) {
	self, err := os.Executable()
	ts.Check(err)
	data, err := os.ReadFile(self)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("bin/hermes-fence"), data, 0o755))
}

// talks: gateways report about themselves what the script tells them to.
func cmdTalks(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(writeGateway(ts.MkAbs("bin/hermes"), enters, talks))
}

// svscan-kill: kills s6-svscan alone; its supervisors run on.
func cmdSvscanKill(ts *testscript.TestScript, neg bool, args []string) { tree(ts).Kill() }

// await COMMAND [ARG...]: runs COMMAND until it succeeds, [!] until it fails.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	err := s6test.AwaitErr(func() error {
		if err := ts.Exec(args[0], args[1:]...); (err == nil) == neg {
			return fmt.Errorf("%v: %v", args, err)
		}
		return nil
	})
	ts.Check(err)
}

// code N COMMAND [ARG...]: runs COMMAND, which must exit with N, print nothing on stdout, and
// on stderr exactly one line that says what failed, followed by a hint or not. It must leave
// the scan directory and the home as they were.
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	want := args[0]
	args = args[1:]
	before := snapshot(ts)
	err := ts.Exec(args[0], args[1:]...)
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	got := "0"
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v: %v", args, err)
		}
		got = fmt.Sprint(exit.ExitCode())
	}
	after := snapshot(ts)
	if got != want {
		ts.Fatalf("%v: exit code %s, want %s", args, got, want)
	}
	if stdout != "" {
		ts.Fatalf("%v: stdout is not empty", args)
	}
	name := filepath.Base(args[0])
	fatal, hint, _ := strings.Cut(stderr, "\n")
	if !strings.HasPrefix(fatal, name+": fatal: ") {
		ts.Fatalf("%v: stderr does not begin with NAME: fatal: WHAT: WHY", args)
	}
	if hint != "" && (!strings.HasPrefix(hint, name+": hint: ") || strings.Count(hint, "\n") != 1) {
		ts.Fatalf("%v: stderr goes on with something else than one line of NAME: hint: WHAT TO DO", args)
	}
	for path, was := range before {
		if is := after[path]; is != was {
			ts.Fatalf("%v: %s changed:\nfrom %s\nto   %s", args, path, was, is)
		}
	}
	for path := range after {
		if before[path] == "" {
			ts.Fatalf("%v: made %s", args, path)
		}
	}
}

// snapshot describes each file of scan directory and home: mode, owner, content. It leaves out
// what supervisors, loggers and the stand-in write.
func snapshot(ts *testscript.TestScript) map[string]string {
	files := map[string]string{}
	for _, root := range []string{ts.Getenv("S6_PROFILE_GATEWAY_SCANDIR"), ts.Getenv("HERMES_HOME")} {
		_ = filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
			if err != nil || strings.Contains(path, "/logs/gateways/") || strings.Contains(path, "/supervise/") || strings.Contains(path, "/dump.") {
				return nil
			}
			st := info.Sys().(*syscall.Stat_t)
			files[path] = fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
			if info.Mode().IsRegular() && info.Size() < 1<<20 {
				data, _ := os.ReadFile(path)
				files[path] += fmt.Sprintf(" %q", data)
			}
			return nil
		})
	}
	return files
}

// idle: no process of the tree but s6-svscan is left, [!] some are.
func cmdIdle(ts *testscript.TestScript, neg bool, args []string) {
	if ps := tree(ts).Processes(); (len(ps) == 0) == neg {
		ts.Fatalf("processes: %v", ps)
	}
}

// bytes FILE WANT...: FILE is WANT..., each ended by a NUL.
func cmdBytes(ts *testscript.TestScript, neg bool, args []string) {
	want := strings.Join(args[1:], "\x00") + "\x00"
	if got := ts.ReadFile(args[0]); (got == want) == neg {
		ts.Fatalf("%s: got %q, want %q", args[0], got, want)
	}
}

// mode OCTAL FILE...: the files have this mode.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args[1:] {
		var st syscall.Stat_t
		ts.Check(syscall.Lstat(ts.MkAbs(file), &st))
		if got := fmt.Sprintf("%04o", st.Mode&0o7777); got != args[0] {
			ts.Fatalf("%s: mode %s, want %s", file, got, args[0])
		}
	}
}

// tmpfs DIR OPTIONS: mounts a tmpfs, owned by the account, for the rest of the script.
func cmdTmpfs(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(syscall.Mount("tmpfs", dir, "tmpfs", 0, args[1]))
	ts.Defer(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// readonly DIR: makes DIR read-only for the rest of the script.
func cmdReadonly(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(syscall.Mount(dir, dir, "", syscall.MS_BIND, ""))
	ts.Defer(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	ts.Check(syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
}

// left-out WHAT...: records what the script cannot show on this machine.
func cmdLeftOut(ts *testscript.TestScript, neg bool, args []string) {
	note("%s: left out: %s", ts.Name(), strings.Join(args, " "))
}
