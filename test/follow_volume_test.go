//go:build linux

package test

import (
	"slices"
	"testing"
	"time"

	"hermes-s6/lib/s6/s6test"
)

// TestFollowReadOnly makes the home read-only, as a file system does after an error. Nothing
// is removed, each message is printed once, and what was asked for meanwhile is done when it
// can be.
func TestFollowReadOnly(t *testing.T) {
	home := newHomeFor(t)
	for _, name := range []string{"one", "two"} {
		addProfile(t, home, name, `{"desired_state":"running"}`)
	}
	c := follow(t, home)
	pids := map[string]string{}
	for _, name := range []string{"one", "two"} {
		pids[name] = c.awaitUp(name)
	}
	// Not the mount itself, in which loggers have files open for writing.
	c.must(false, "sh", "-c", "mount --bind /opt/data /opt/data && mount -o remount,bind,ro /opt/data")
	c.must(false, "/command/s6-svc", "-h", reconciler)
	// From where it can still be written, as another machine may do.
	c.desire("two", "stopped")
	c.await(false, "false\n", "hermes-svstat", "-o", "up", "two")
	addProfile(t, home, "new", `{"desired_state":"stopped"}`)
	c.await(false, "new\n", "hermes-svstat", "-o", "name", "new")
	lapse(2500 * time.Millisecond) // twice the delay
	if now := c.gateway("one"); now != pids["one"] || len(c.did("one")) > 0 || slices.Contains(c.did("two"), "removed") {
		t.Errorf("one was %s and is %s: %v; two: %v", pids["one"], now, c.did("one"), c.did("two"))
	}
	said := c.warnings()
	slices.Sort(said)
	if len(slices.Compact(said)) != len(c.warnings()) {
		t.Errorf("said %q, want each once", c.warnings())
	}
	c.must(false, "umount", "-l", "/opt/data")
	c.looked("marker")
	c.desire("two", "running")
	c.awaitUp("two")
	if now := c.gateway("one"); now != pids["one"] {
		t.Errorf("one was %s and is %s", pids["one"], now)
	}
}

// TestFollowSwapped replaces profiles/ with another directory with other profiles. That is a
// readable home: profiles that are not in it are gone.
func TestFollowSwapped(t *testing.T) {
	home := newHomeFor(t)
	for _, name := range []string{"one", "two"} {
		addProfile(t, home, name, `{"desired_state":"running"}`)
	}
	putFile(t, accountUID, home, "other/three/SOUL.md", "")
	putFile(t, accountUID, home, "other/three/gateway_state.json", `{"desired_state":"running"}`)
	const delay = 3 * time.Second
	c := follow(t, home, "HERMES_PRUNE_DELAY=3000")
	c.awaitUp("one")
	c.awaitUp("two")
	began := time.Now()
	c.must(false, "sh", "-c", "cd /opt/data && mv profiles kept && mv other profiles")
	c.awaitUp("three")
	for _, name := range []string{"one", "two"} {
		c.awaitNo(name)
		if took := time.Since(began); took < delay {
			t.Errorf("%s: its slot was removed after %v, want %v", name, took, delay)
		}
	}
	c.must(false, "sh", "-c", "cd /opt/data && mv profiles other && mv kept profiles")
	c.awaitUp("one")
	c.awaitUp("two")
	c.awaitNo("three")
	s6test.Await(t, func() error { return c.agrees(map[string]string{"one": "running", "two": "running"}) })
}

// TestFollowRemade removes profiles/ and makes it again at once. On many file systems it gets
// the same inode again. What is made in it is noticed all the same.
func TestFollowRemade(t *testing.T) {
	home := newHomeFor(t)
	addProfile(t, home, "one", `{"desired_state":"stopped"}`)
	c := follow(t, home)
	c.must(false, "sh", "-c", "cd /opt/data && rm -r profiles && mkdir profiles")
	for _, name := range []string{"late", "later"} { // the first may be found by the look that this triggers
		addProfile(t, home, name, `{"desired_state":"running"}`)
		c.awaitUp(name)
	}
	c.awaitNo("one")
}
