//go:build linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// TestRestart: a restart is invisible. What ran before it runs after it, and nothing else,
// whether the container was stopped or its PID 1 killed.
func TestRestart(t *testing.T) {
	home := newHomeFor(t, "ran", "never")
	addProfile(t, home, "stopped", `{"desired_state":"stopped","gateway_state":"running"}`)
	addProfile(t, home, "failed", `{"gateway_state":"startup_failed"}`)
	c := newContainer(t, home, "HERMES_DASHBOARD=true")
	c.boot()
	c.awaitStatus("default false false\nfailed false false\nnever false false\nran false false\nstopped false false\n")
	s6test.Await(t, func() error {
		c.must(false, "hermes-svc-unregister", "ran")
		out, code := c.exec(false, "hermes-svc-register", "--wait", "--port", "4321", "--env", "TOKEN=it's", "ran")
		if code == 101 { // on a busy machine the reconciler may come first
			return fmt.Errorf("%s: %w", out, s6test.ErrNot)
		}
		if code != 0 {
			t.Fatal(out)
		}
		return nil
	})
	state := filepath.Join(home, "profiles/ran/gateway_state.json")
	run, err := os.ReadFile(c.path("/run/service/gateway-ran/run"))
	must.Do(t, err)
	for name, end := range map[string]func(){"stop": c.stop, "kill": c.kill} {
		await := func() {
			t.Helper()
			c.awaitStatus("default false false\nfailed false false\nnever false false\nran true true\nstopped false false\n")
		}
		await()
		waitForFile(t, state)
		end()
		c.boot()
		await()
		if again := readFile(t, c.path("/run/service/gateway-ran/run")); again != string(run) {
			t.Errorf("%s: settings are lost: run is\n%s", name, again)
		}
		if out, _ := c.exec(false, "hermes-svstat", "--list"); strings.Contains(out, "dashboard") {
			t.Errorf("%s: %s", name, out)
		}
	}
	log := readFile(t, filepath.Join(home, "logs/container-boot.log"))
	line := regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} profile=ran prior_state=running action=started$`)
	if n := len(line.FindAllString(log, -1)); n != 2 {
		t.Errorf("the boot log says %d times that ran was started:\n%s", n, log)
	}
}

// TestAccountAfterRestart: the account can query and control its gateways, before a restart
// and after it.
func TestAccountAfterRestart(t *testing.T) {
	home := newHomeFor(t)
	addProfile(t, home, "coder", `{"gateway_state":"running"}`)
	c := newContainer(t, home)
	for _, end := range []func(){c.stop, c.kill} {
		c.boot()
		c.awaitStatus("coder true true\ndefault false false\n")
		for _, args := range [][]string{
			{"hermes-svstat", "coder"},
			{"hermes-detect", "--is", "s6"},
			{"hermes-svc", "stop", "--wait", "coder"},
			{"hermes-svc", "start", "--wait", "coder"},
			{"hermes-svc", "restart", "coder"},
			{"/command/s6-svc", "-wR", "-T", "10000", "-r", "/run/service/gateway-coder"},
			{"/command/s6-svwait", "-u", "-t", "10000", "/run/service/gateway-coder"},
			{"/command/s6-svc", "-wD", "-T", "10000", "-d", "/run/service/gateway-coder"},
			{"/command/s6-svc", "-wu", "-T", "10000", "-u", "/run/service/gateway-coder"},
			{"/command/s6-svstat", "/run/service/gateway-coder"},
		} {
			if out, code := c.exec(true, args...); code != 0 {
				t.Errorf("%v: exit code %d: %s", args, code, out)
			}
		}
		// But nothing else.
		for _, path := range []string{"/run/service/x", "/run/service/gateway-coder/run", "/run/service/gateway-coder/supervise/status"} {
			if _, code := c.exec(true, "/bin/sh", "-c", "echo >>"+path); code == 0 {
				t.Errorf("the account can write %s", path)
			}
		}
		end()
	}
}

// TestCrashLimitInContainer: a gateway that dies at once is given up, without filling its log,
// while others run on.
func TestCrashLimitInContainer(t *testing.T) {
	home := newHomeFor(t)
	for _, p := range []string{"bad", "good"} {
		addProfile(t, home, p, `{"desired_state":"running"}`)
	}
	must.Do(t, os.WriteFile(filepath.Join(home, "behaviour"), []byte(`[ "$2" != bad ] || { echo "no good"; exit 1; }`), 0o644))
	c := newContainer(t, home, "HERMES_CRASH_LIMIT=3/60")
	c.boot()
	c.awaitStatus("bad false false\ndefault false false\ngood true true\n")
	log := readFile(t, filepath.Join(home, "logs/gateways/bad/current"))
	if n := strings.Count(log, "no good"); n != 3 {
		t.Errorf("%d attempts in the log, want 3:\n%s", n, log)
	}
}

// TestTwoContainers: two containers on one home run each gateway exactly once, with the
// profiles divided by patterns or by shards.
func TestTwoContainers(t *testing.T) {
	for name, env := range map[string][2]string{
		"patterns": {"HERMES_RECONCILE_PROFILES=a*", "HERMES_RECONCILE_PROFILES=b*"},
		"shards":   {"HERMES_SHARD=1/2", "HERMES_SHARD=2/2"},
	} {
		t.Run(name, func(t *testing.T) {
			home := newHomeFor(t)
			var want []string
			for i := range 6 {
				for _, letter := range []string{"a", "b"} {
					p := fmt.Sprint(letter, i)
					want = append(want, p)
					addProfile(t, home, p, `{"desired_state":"running"}`)
				}
			}
			runs := map[string]int{}
			for _, e := range env {
				c := newContainer(t, home, e)
				c.boot()
				out, _ := c.exec(false, "hermes-svstat", "--list")
				for _, p := range strings.Fields(out) {
					runs[p]++
				}
			}
			for _, p := range want {
				if runs[p] != 1 {
					t.Errorf("%s runs %d times", p, runs[p])
				}
			}
			if want := map[string]int{"shards": 1}[name]; runs["default"] != want {
				t.Errorf("default has %d slots, want %d", runs["default"], want)
			}
		})
	}
}

// TestContainerCommand: the command that a container was started with decides what it supervises.
func TestContainerCommand(t *testing.T) {
	home := newHomeFor(t)
	addProfile(t, home, "coder", `{"desired_state":"running"}`)
	c := newContainer(t, home)
	c.boot("/opt/hermes/docker/main-wrapper.sh", "dashboard")
	if out, _ := c.exec(false, "hermes-svstat", "--list"); out != "" {
		t.Errorf("the dashboard supervises %q", out)
	}
	c.stop()
	c.boot("gateway", "run", "--no-supervise")
	c.awaitStatus("coder false false\ndefault false false\n")
	c.stop()
	c.boot("hermes", "-p", "x", "gateway", "run")
	c.awaitStatus("coder true true\ndefault false false\n")
	if out := c.said(); !strings.Contains(out, `warning: profile "x": its state could not be recorded as running: `) {
		t.Error(out)
	}
	c.stop()
	addProfile(t, home, "writer", "")
	c.boot("--profile=writer", "gateway", "run")
	c.awaitStatus("coder true true\ndefault false false\nwriter true true\n")
	c.stop()
	c.boot("hermes", "gateway", "run")
	c.awaitStatus("coder true true\ndefault true true\nwriter true true\n")
}

// TestHomeOfRoot: directories that root owns from an earlier image belong to the account after
// a boot, and a link in their place is refused.
func TestHomeOfRoot(t *testing.T) {
	home := newHomeFor(t)
	addProfile(t, home, "coder", `{"desired_state":"running"}`)
	for _, d := range []string{"logs", "logs/gateways"} {
		must.Do(t, os.Mkdir(filepath.Join(home, d), 0o755))
	}
	c := newContainer(t, home)
	c.boot()
	waitForFile(t, filepath.Join(home, "logs/gateways/coder/current"))
	c.kill()
	outside := t.TempDir()
	must.Do(t, os.RemoveAll(filepath.Join(home, "logs")))
	must.Do(t, os.Symlink(outside, filepath.Join(home, "logs")))
	c.start()
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("made through a link: %v", entries)
	}
	if out := c.said(); !strings.Contains(out, "01-hermes-home: fatal: logs: not a directory") {
		t.Error(out)
	}
}

// TestRunOfAnybody: after a boot only root can write in /run, even if anyone could before, as
// in a Kubernetes emptyDir. By renaming directories there the account would make root run
// anything.
func TestRunOfAnybody(t *testing.T) {
	home := newHomeFor(t)
	addProfile(t, home, "coder", `{"desired_state":"running"}`)
	c := newContainer(t, home, "RUN_MODE=0777")
	c.boot()
	c.awaitStatus("coder true true\ndefault false false\n")
	for _, name := range []string{"/run/service", "/run/s6"} {
		if _, code := c.exec(true, "mv", name, name+".not"); code == 0 {
			t.Errorf("the account can rename %s", name)
		}
	}
}

// TestStaticServices: the account can query the static services, and the dashboard runs where
// it is wanted and nowhere else.
func TestStaticServices(t *testing.T) {
	for wanted, bundle := range map[string]string{
		"":      "/etc/s6-overlay/user-bundles.d/user",
		"true":  "/etc/s6-overlay/user-bundles.d/user",
		"false": "/etc/s6-overlay/s6-rc.d/user", // an image for s6-overlay before 3.2.3.1
		"yes":   "/etc/s6-overlay/s6-rc.d/user",
	} {
		t.Run(wanted+filepath.Base(filepath.Dir(bundle)), func(t *testing.T) {
			home := newHomeFor(t)
			c := newContainer(t, home, "HERMES_DASHBOARD="+wanted)
			if strings.Contains(bundle, "s6-rc.d") {
				c.check(os.MkdirAll(filepath.Join(c.upper(), bundle), 0o755))
				c.check(os.WriteFile(filepath.Join(c.upper(), bundle, "type"), []byte("bundle\n"), 0o644))
				c.check(os.RemoveAll(filepath.Join(c.upper(), "etc/s6-overlay/user-bundles.d")))
			}
			c.boot()
			up := map[string]string{"main-hermes": "true\n", "dashboard": "false\n"}
			if wanted == "true" || wanted == "yes" {
				up["dashboard"] = "true\n"
			}
			for name, want := range up {
				c.await(true, want, "/command/s6-svstat", "-o", "up", "/run/service/"+name)
			}
		})
	}
}

// TestDashboard: the dashboard gets its address from the environment, and starts when the home
// belongs to the account. A dashboard that cannot run as configured is not restarted again and
// again.
func TestDashboard(t *testing.T) {
	home := newHomeFor(t)
	c := newContainer(t, home, "HERMES_DASHBOARD=Yes", "HERMES_DASHBOARD_HOST=0.0.0.0", "HERMES_DASHBOARD_PORT=")
	awaitDashboard := func(want string) {
		t.Helper()
		c.await(true, want, "/command/s6-svstat", "-o", "up,wantedup", "/run/service/dashboard")
	}
	c.boot()
	waitForFile(t, filepath.Join(home, "dashboard"))
	awaitDashboard("true true\n")
	if got, want := readFile(t, filepath.Join(home, "dashboard")), "/opt/data/home dashboard --host 0.0.0.0 --port 9119 --no-open container-boot.log gateways\n"; got != want {
		t.Errorf("HOME, arguments and logs: %q, want %q", got, want)
	}
	c.stop()
	must.Do(t, os.WriteFile(filepath.Join(home, "misconfigured"), nil, 0o644))
	c.boot()
	awaitDashboard("false false\n")
}

// TestDashboardWithoutRoot: the dashboard does not try to drop root in a container without
// root, where it would never start.
func TestDashboardWithoutRoot(t *testing.T) {
	home := newHomeFor(t)
	must.Do(t, os.WriteFile(filepath.Join(home, "misconfigured"), nil, 0o644))
	c := newContainer(t, home, "HERMES_DASHBOARD=1")
	c.boot()
	if out, code := c.exec(true, "/run/service/dashboard/run"); code != 78 {
		t.Errorf("exit code %d, want the dashboard's own, 78: %s", code, out)
	}
}
