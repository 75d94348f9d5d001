//go:build linux

package test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestBusybox has containers do what they are for where busybox is all that there is: its
// ash runs our scripts and those of slots, and what they call is one of its programs.
func TestBusybox(t *testing.T) {
	newBareContainer(t, "") // or all of it is left out
	lower = filepath.Join(t.TempDir(), "busybox")
	defer func() { lower = "/" }()
	run(t, "testdata/container/busybox", lower)
	for name, test := range map[string]func(*testing.T){
		"Restart": TestRestart, "AccountAfterRestart": TestAccountAfterRestart, "CrashLimit": TestCrashLimitInContainer,
		"TwoContainers": TestTwoContainers, "Command": TestContainerCommand, "HomeOfRoot": TestHomeOfRoot,
		"RunOfAnybody": TestRunOfAnybody, "StaticServices": TestStaticServices, "Dashboard": TestDashboard,
		"DashboardWithoutRoot": TestDashboardWithoutRoot, "Registrar": TestRegistrar, "RegistrarRefuses": TestRegistrarRefuses,
		"HomeOfProfile": TestHomeOfProfile, "FenceStandby": TestFenceStandby, "FenceTakeOver": TestFenceTakeOver,
		"FollowArrivals": TestFollowArrivals, "FollowOff": TestFollowOff,
	} {
		t.Run(name, test)
	}
	t.Run("Slots", slotsInContainer)
}

// slotsInContainer runs the tests of what slots' scripts do in a container.
func slotsInContainer(t *testing.T) {
	c := newContainer(t, newHomeFor(t))
	dir := filepath.Join(c.upper(), "harness/script")
	run(t, "cp", "-R", "lib/script", dir)
	run(t, "env", "CGO_ENABLED=0", "go", "test", "-c", "-o", dir+"/script.test", "./lib/script")
	c.check(os.RemoveAll(filepath.Dir(c.hermes()))) // slots put it on the PATH
	c.boot()
	if out, code := c.exec(false, "sh", "-c", "cd /harness/script && exec ./script.test -test.timeout 20m -test.skip Shellcheck"); code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
}
