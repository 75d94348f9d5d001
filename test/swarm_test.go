//go:build linux

package test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSwarm brings up the stack that we ship. Each gateway runs in exactly one of three
// replicas, again after one is lost and the swarm has replaced it, while the others go on, and
// again with five, and with two, to which the swarm changes while they run. At no time does
// one run twice (testdata/gateway reports that).
func TestSwarm(t *testing.T) {
	needDocker(t)
	profiles := names(12)
	home := newHomeFor(t)
	for _, p := range profiles {
		addProfile(t, home, p, `{"desired_state":"running"}`)
	}
	if exec.Command("docker", "run", "--rm", "--network", "none", "-v", home+":/mnt:ro", image, "test", "-e", "/mnt/profiles/p0").Run() != nil {
		leaveOut(t, "the engine does not see this machine's files")
	}
	needSwarm(t)
	needOverlay(t)
	s := newStack(t, home)
	defer func() {
		if twice, err := os.ReadFile(filepath.Join(home, "twice")); err == nil {
			t.Errorf("ran twice at once:\n%s", twice)
		}
	}()

	s.deploy(3)
	before := s.awaitGateways(3, profiles)
	awaitLong(t, func() error {
		if healthy := s.containers("--filter", "health=healthy"); len(healthy) != 3 {
			return fmt.Errorf("healthy: %v", healthy)
		}
		return nil
	})
	var lost string
	for id := range before {
		lost = id
	}
	// Gateways run, and are found healthy, before the last init script has ended.
	awaitLong(t, func() error {
		if out := docker(t, "exec", lost, "cat", "/run/boot.out"); strings.Count(out, "exited 0") != 4 {
			return fmt.Errorf("not all 4 init scripts have ended well:\n%s", out)
		}
		return nil
	})
	docker(t, "kill", lost)
	after := s.awaitGateways(3, profiles)
	for id, gateways := range before {
		if id == lost {
			if after[id] != "" {
				t.Error("the lost one is there again")
			}
		} else {
			for gateway := range strings.Lines(gateways) { // it may have taken over others
				if !strings.Contains("\n"+after[id], "\n"+gateway) {
					t.Errorf("not touched by the loss, had and has:\n%s%s", gateways, after[id])
				}
			}
		}
	}

	for _, n := range []int{5, 2} {
		s.deploy(n)
		s.awaitGateways(n, profiles)
	}
}

// needSwarm makes the engine the manager of a swarm of its own, for the test, if it is in no
// swarm. If it cannot be one, needSwarm skips the test.
func needSwarm(t *testing.T) {
	t.Helper()
	state := docker(t, "info", "-f", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}")
	if state == "active true" {
		return
	}
	out := []byte("it is in one that others manage: " + state)
	if state == "inactive false" {
		bridged := exec.Command("docker", "network", "inspect", "docker_gwbridge").Run() == nil
		var err error
		if out, err = exec.Command("docker", "swarm", "init", "--advertise-addr", "127.0.0.1").CombinedOutput(); err == nil {
			t.Cleanup(func() {
				docker(t, "swarm", "leave", "--force")
				if !bridged { // after leaving the swarm it remains
					docker(t, "network", "rm", "docker_gwbridge")
				}
			})
			return
		}
	}
	leaveOut(t, "no swarm can be had: %s", bytes.TrimSpace(out))
}

// needOverlay skips the test if a swarm has no networks, which need the kernel's vxlan.
func needOverlay(t *testing.T) {
	t.Helper()
	const network = "hermes-s6-test"
	docker(t, "network", "create", "-d", "overlay", "--attachable", network)
	defer func() { docker(t, "network", "rm", network) }()
	if out, err := exec.Command("docker", "run", "--rm", "--network", network, image, "true").CombinedOutput(); err != nil {
		leaveOut(t, "a container cannot be in a swarm's network here: %s", bytes.TrimSpace(out))
	}
}

// A stack is our stack in a swarm.
type stack struct {
	t    *testing.T
	name string
	env  []string // what swarm.yaml asks for
}

// newStack prepares a stack on home. It is removed completely when the test ends.
func newStack(t *testing.T, home string) *stack {
	t.Helper()
	c := newContainer(t, "")
	c.standIn()
	name := filepath.Base(c.dir)
	ours := "hermes-s6-test:" + name
	s := &stack{t, name, []string{"HERMES_IMAGE=" + ours, "HERMES_VOLUME_DEVICE=" + home, "HERMES_STANDBY=1"}}
	docker(t, "create", "--name", s.name, image, "/harness/init")
	t.Cleanup(func() { docker(t, "rm", "-f", s.name) })
	docker(t, "cp", filepath.Join(c.dir, "upper")+"/.", s.name+":/")
	docker(t, "commit", "-c", `ENTRYPOINT ["/harness/init"]`, "-c", "ENV S6_STAGE2_HOOK=/etc/s6-overlay/stage2-hook", s.name, ours)
	t.Cleanup(func() { docker(t, "rmi", ours) })
	t.Cleanup(s.remove)
	return s
}

func (s *stack) deploy(replicas int) {
	s.t.Helper()
	cmd := exec.Command("docker", "stack", "deploy", "--resolve-image", "never", "-c", "deploy/swarm.yaml", s.name)
	cmd.Env = append(append(os.Environ(), s.env...), fmt.Sprint("HERMES_REPLICAS=", replicas))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("docker stack deploy: %v: %s", err, out)
	}
}

// containers lists the containers of the stack, with more of docker ps's arguments.
func (s *stack) containers(args ...string) []string {
	s.t.Helper()
	args = append([]string{"ps", "-q", "--no-trunc", "--filter", "label=com.docker.stack.namespace=" + s.name}, args...)
	return strings.Fields(docker(s.t, args...))
}

// awaitGateways waits until there are that many containers, each with one of that many shards,
// and each of profiles runs in exactly one. It returns the names and pids that run in each
// container.
func (s *stack) awaitGateways(replicas int, profiles []string) map[string]string {
	s.t.Helper()
	var running map[string]string
	awaitMoves(s.t, func() error {
		running = map[string]string{}
		runs, shards := map[string]int{}, map[string]bool{}
		for _, id := range s.containers() {
			shard, _ := exec.Command("docker", "exec", id, "printenv", "HERMES_SHARD").Output()
			shards[strings.TrimSpace(string(shard))] = true
			running[id] = s.running(id, runs)
		}
		of := 0 // that many are of N, whichever numbers the swarm has kept
		for shard := range shards {
			if strings.HasSuffix(shard, fmt.Sprint("/", replicas)) {
				of++
			}
		}
		if of != replicas || len(running) != replicas {
			tasks, _ := exec.Command("docker", "stack", "ps", "--no-trunc", s.name).CombinedOutput()
			return fmt.Errorf("%d containers with shards %v, want %d:\n%s", len(running), shards, replicas, tasks)
		}
		for _, p := range profiles {
			if runs[p] != 1 {
				return fmt.Errorf("%s runs %d times: %v", p, runs[p], running)
			}
		}
		return nil
	})
	return running
}

// running returns what runs in container id, and does not stand by, and adds to runs how often
// each does.
func (s *stack) running(id string, runs map[string]int) string {
	cmd := exec.Command("docker", "exec", id, "hermes-svstat", "--json")
	out, _ := cmd.Output()
	states, err := parseStates(string(out), cmd.ProcessState.ExitCode())
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(states)) {
		if state := states[name]; state.Up && !state.Standby {
			runs[name]++
			fmt.Fprintf(&b, "%s %d\n", name, state.PID)
		}
	}
	return b.String()
}

// remove removes the stack, which takes a while, and its volume.
func (s *stack) remove() {
	docker(s.t, "stack", "rm", s.name)
	awaitLong(s.t, func() error {
		if left := s.containers("-a"); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		out, err := exec.Command("docker", "network", "ls", "-q", "--filter", "label=com.docker.stack.namespace="+s.name).CombinedOutput()
		if err != nil || len(out) > 0 {
			return fmt.Errorf("network: %s: %v", out, err)
		}
		return nil
	})
	if volumes := docker(s.t, "volume", "ls", "-q", "--filter", "label=com.docker.stack.namespace="+s.name); volumes != "" {
		docker(s.t, "volume", "rm", volumes)
	}
}
