//go:build linux

package test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hermes-s6/lib/must"
)

// alone is what a gateway of the test does first: it holds a lock for as long as it
// lives, and says so where another has it.
const alone = `exec 9>>running.lock; flock -n 9 || echo "$*" >>"$HERMES_HOME/twice"`

// TestSwarm brings up the stack that we ship: each gateway runs in exactly one of
// three replicas, again when one is lost and the swarm has replaced it, while the
// others go on, and again when there are two, by way of none.
func TestSwarm(t *testing.T) {
	needDocker(t)
	var profiles []string
	for i := range 12 {
		profiles = append(profiles, fmt.Sprint("p", i))
	}
	home := newHomeFor(t)
	for _, p := range profiles {
		addProfile(t, home, p, `{"desired_state":"running"}`)
	}
	must.Do(t, os.WriteFile(filepath.Join(home, "behaviour"), []byte(alone), 0o644))
	if exec.Command("docker", "run", "--rm", "--network", "none", "-v", home+":/mnt:ro", image, "test", "-e", "/mnt/behaviour").Run() != nil {
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
	shards := map[string]bool{}
	for id := range before {
		shards[docker(t, "exec", id, "printenv", "HERMES_SHARD")] = true
	}
	if want := map[string]bool{"1/3": true, "2/3": true, "3/3": true}; !maps.Equal(shards, want) {
		t.Errorf("shards: %v", shards)
	}
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
		if out := docker(t, "exec", lost, "grep", "-c", "exited 0", "/run/boot.out"); out != "4" {
			return fmt.Errorf("%s init scripts ended well, want 4", out)
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
		} else if after[id] != gateways {
			t.Errorf("not touched by the loss, had and has:\n%s%s", gateways, after[id])
		}
	}

	docker(t, "service", "scale", "-d", s.name+"_gateways=0")
	awaitLong(t, func() error {
		tasks := docker(t, "service", "ps", "--format", "{{.CurrentState}}", s.name+"_gateways")
		if strings.Contains(tasks, "Running") {
			return fmt.Errorf("tasks: %s", tasks)
		}
		return nil
	})
	if left := s.containers(); len(left) > 0 {
		t.Errorf("no task runs, and yet containers do: %v", left)
	}
	s.deploy(2)
	s.awaitGateways(2, profiles)
}

// needSwarm makes the engine the manager of a swarm of its own, for the test, where
// it is in none. It skips the test where it cannot be one.
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
				if !bridged { // leaving leaves it
					docker(t, "network", "rm", "docker_gwbridge")
				}
			})
			return
		}
	}
	leaveOut(t, "no swarm can be had: %s", bytes.TrimSpace(out))
}

// needOverlay skips the test where a swarm has no networks: they need the kernel's
// vxlan.
func needOverlay(t *testing.T) {
	t.Helper()
	const network = "hermes-s6-test"
	docker(t, "network", "create", "-d", "overlay", "--attachable", network)
	defer func() { docker(t, "network", "rm", network) }()
	if out, err := exec.Command("docker", "run", "--rm", "--network", network, image, "true").CombinedOutput(); err != nil {
		leaveOut(t, "a container cannot be in a swarm's network here: %s", bytes.TrimSpace(out))
	}
}

// A stack is ours in a swarm.
type stack struct {
	t    *testing.T
	name string
	env  []string // what swarm.yaml asks for
}

// newStack prepares a stack on home. When the test ends, nothing is left of it.
func newStack(t *testing.T, home string) *stack {
	t.Helper()
	c := newContainer(t, "")
	name := filepath.Base(c.dir)
	ours := "hermes-s6-test:" + name
	s := &stack{t, name, []string{"HERMES_IMAGE=" + ours, "HERMES_VOLUME_DEVICE=" + home}}
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

// containers lists those of the stack, with more of docker ps's arguments.
func (s *stack) containers(args ...string) []string {
	s.t.Helper()
	args = append([]string{"ps", "-q", "--no-trunc", "--filter", "label=com.docker.stack.namespace=" + s.name}, args...)
	return strings.Fields(docker(s.t, args...))
}

// awaitGateways waits until so many containers have all of profiles up, and
// each exactly one. It returns what runs in each container: names and pids.
func (s *stack) awaitGateways(replicas int, profiles []string) map[string]string {
	s.t.Helper()
	var running map[string]string
	awaitLong(s.t, func() error {
		running = map[string]string{}
		runs := map[string]int{}
		for _, id := range s.containers() {
			out, _ := exec.Command("docker", "exec", id, "hermes-svstat", "-o", "name,pid").CombinedOutput()
			running[id] = string(out)
			for line := range strings.Lines(string(out)) {
				if name, pid, _ := strings.Cut(strings.TrimSpace(line), " "); pid != "-1" {
					runs[name]++
				}
			}
		}
		if len(running) != replicas || len(runs) != len(profiles) {
			tasks, _ := exec.Command("docker", "stack", "ps", "--no-trunc", s.name).CombinedOutput()
			return fmt.Errorf("%d of %d containers run, %d of %d gateways run: %v\n%s", len(running), replicas, len(runs), len(profiles), running, tasks)
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

// remove removes the stack, which goes by and by, and its volume.
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
