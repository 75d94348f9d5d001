//go:build linux

package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/fence"
	"hermes-s6/lib/reconcile"
	"hermes-s6/lib/s6/s6test"
)

// TestFenceStandby has three containers with a shard each stand by for each other. At first
// each gateway runs in its own container. Those of a lost container run elsewhere. Then N goes
// from 3 to 5 and to 2 while all run, one container after the other.
func TestFenceStandby(t *testing.T) {
	const never, soon = "HERMES_STANDBY_DELAY=3600000", "HERMES_STANDBY_DELAY=500"
	f := newFleet(t, 3, names(12), `{"desired_state":"running"}`)
	shard := func(c *container, i, n int, delay string) {
		c.env = []string{fmt.Sprintf("HERMES_SHARD=%d/%d", i, n), "HERMES_STANDBY=1", delay}
	}
	// The first to boot waits for the others, however long they take.
	shares := map[string]*container{}
	for i, c := range f.members {
		selection, err := reconcile.ParseSelection("", fmt.Sprintf("%d/3", i+1), false)
		c.check(err)
		for _, p := range f.profiles {
			if selection.Has(p) {
				shares[p] = c
			}
		}
		shard(c, i+1, 3, never)
		c.boot()
	}
	inShares := func(p string) *container { return shares[p] }
	f.awaitRoles(f.members, inShares)
	f.awaitRunners(f.allOnce())

	reboot := func(c *container, i, n int) {
		t.Helper()
		if c.cmd != nil {
			c.stop()
		}
		shard(c, i, n, soon)
		c.boot()
	}
	one, lost := f.members[0], f.members[2]
	reboot(one, 1, 3) // no other was to take over what it left
	f.awaitRoles(f.members, inShares)
	lost.kill()
	f.awaitRunners(f.allOnce())
	reboot(lost, 3, 3)
	reboot(f.members[1], 2, 3)
	f.awaitRunners(f.allOnce())

	f.join()
	f.join()
	for i, c := range f.members {
		reboot(c, i+1, 5)
	}
	f.awaitRunners(f.allOnce())
	for _, c := range f.members[2:] {
		c.stop()
	}
	f.members = f.members[:2]
	for i, c := range f.members {
		reboot(c, i+1, 2)
	}
	f.awaitRunners(f.allOnce())
	runs := f.runners()
	f.awaitRoles(f.members, func(p string) *container {
		if runs[p][0].host == one.host() {
			return one
		}
		return f.members[1]
	})
}

// standbys is how many stand-bys TestFenceMemory has.
const standbys = 200

// TestFenceMemory has two hundred gateways stand by for fences that the test itself holds.
// Each takes at most a megabyte more than s6's own three processes for it.
func TestFenceMemory(t *testing.T) {
	p := newPlace(t)
	p.bin = static(t)
	run(t, "cp", filepath.Join(p.bin, "hermes-fence"), filepath.Join(p.dir, "bin")) // where the account finds it
	run(t, "rm", "-r", filepath.Join(p.home, "profiles/coder"), filepath.Join(p.home, "profiles/writer"))
	for _, name := range names(standbys) {
		p.addProfile(t, name, `{"desired_state":"running"}`)
		holdFence(t, p, name)
	}
	tree := s6test.Start(t, p.scan, p.env(), s6test.MaxServices(2*standbys+100)...)
	p.run(t, 0, "hermes-reconcile", "--profiles", "p*", "--timeout", "120000")
	var waits, others []int // pids
	awaitMoves(t, func() error {
		waits, others = nil, nil
		for _, process := range tree.Processes() {
			switch program, _, _ := strings.Cut(process.Command, " "); program {
			case "s6-setlock":
				waits = append(waits, process.PID)
			case "s6-supervise", "s6-log", filepath.Join(filepath.Dir(lookPath(t, "s6-log")), "s6-log"):
				others = append(others, process.PID)
			default:
				return fmt.Errorf("not settled: %d wait, and %v", len(waits), process)
			}
		}
		if len(waits) != standbys || len(others) != 3*standbys {
			return fmt.Errorf("%d stand by, with %d processes beside them", len(waits), len(others))
		}
		return nil
	})
	own, s6s := pss(t, waits), pss(t, others)
	t.Logf("PSS of %d stand-bys: %d KB each, %d KB in all; of their supervisors and loggers: %d KB each, %d KB in all",
		standbys, own/standbys, own, s6s/standbys, s6s)
	if own > standbys<<10 {
		t.Errorf("a stand-by takes %d KB more than s6's own processes", own/standbys)
	}
	p.run(t, 0, "hermes-svc-unregister", "--all", "--timeout", "60000")
}

func lookPath(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// holdFence has the test itself hold the fence of a profile until it ends.
func holdFence(t *testing.T, p place, profile string) {
	t.Helper()
	path := filepath.Join(p.home, "profiles", profile, fence.File)
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		err = unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	if err == nil && os.Geteuid() == 0 {
		err = unix.Fchown(fd, p.uid, p.uid)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pss sums up the memory of processes in KB, with their share of shared memory.
func pss(t *testing.T, pids []int) (sum int) {
	t.Helper()
	for _, pid := range pids {
		data := []byte(readFile(t, fmt.Sprintf("/proc/%d/smaps_rollup", pid)))
		lines := bytes.Split(data, []byte("\n"))
		i := slices.IndexFunc(lines, func(line []byte) bool { return bytes.HasPrefix(line, []byte("Pss:")) })
		if i < 0 {
			t.Fatalf("no memory of %d: %s", pid, data)
		}
		kb, err := strconv.Atoi(string(bytes.Fields(lines[i])[1]))
		if err != nil {
			t.Fatal(err)
		}
		sum += kb
	}
	return sum
}
