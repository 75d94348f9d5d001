//go:build linux

package test

import (
	"path/filepath"
	"testing"
)

// TestHomeOfProfile boots a container whose HERMES_HOME is a profile's. The init scripts, the
// gateways and our programs all use the root, and make no home in a home.
func TestHomeOfProfile(t *testing.T) {
	home := newHomeFor(t)
	for _, name := range []string{"coder", "writer"} {
		addProfile(t, home, name, `{"desired_state":"running"}`)
	}
	c := newContainer(t, home, "HERMES_HOME=/opt/data/profiles/coder", "HERMES_DASHBOARD=1")
	c.boot()
	for _, name := range []string{"coder", "writer"} {
		waitForFile(t, filepath.Join(home, "logs/gateways", name, "current"))
		waitForFile(t, filepath.Join(home, "profiles", name, "gateway.pid"))
	}
	waitForFile(t, filepath.Join(home, "dashboard"))
	if out, _ := c.exec(false, "sh", "-c", "cd /opt/data/profiles && echo */* | tr ' ' '\\n' | grep -vE '/(SOUL.md|gateway[._].*)$'"); out != "" {
		t.Errorf("in the profiles:\n%s", out)
	}
	if out, code := c.exec(false, "hermes-svstat", "-o", "up", "coder", "writer"); code != 0 || out != "true\ntrue\n" {
		t.Errorf("%d: %s", code, out)
	}
}

// TestHomeTogether has several containers make their shared home at once. Each of them finds
// it made.
func TestHomeTogether(t *testing.T) {
	c := newContainer(t, newHomeFor(t))
	c.boot()
	if out := c.shell(false, `for home in $(seq 50); do
		for container in 1 2 3; do
			HERMES_HOME=/tmp/home$home sh /etc/cont-init.d/01-hermes-home || echo "exit code $?" &
		done
		wait
	done`); out != "" {
		t.Error(out)
	}
}
