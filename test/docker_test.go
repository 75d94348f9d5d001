//go:build linux

package test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// TestDocker boots a container of a real engine on a named volume. What ran runs again after
// docker restart and after docker kill, and docker exec with its bare PATH finds our programs.
func TestDocker(t *testing.T) {
	needDocker(t)
	c := newContainer(t, "")
	name := filepath.Base(c.dir)
	volume := docker(t, "volume", "create", name)
	t.Cleanup(func() {
		docker(t, "rm", "-f", name)
		docker(t, "volume", "rm", volume)
	})
	docker(t, "create", "--name", name, "-v", volume+":/opt/data", "-e", "HERMES_HOME=/opt/data", "--network", "none", image, "/harness/init")
	docker(t, "cp", c.upper()+"/.", name+":/")

	docker(t, "start", name)
	awaitBooted(t, name)
	docker(t, "exec", "-u", "hermes", name, "mkdir", "/opt/data/profiles/coder", "/opt/data/profiles/writer")
	// Register it before it is a profile, or the reconciler would do it.
	docker(t, "exec", name, "hermes-svc-register", "--wait", "--env", "TOKEN=x", "coder")
	docker(t, "exec", "-u", "hermes", name, "touch", "/opt/data/profiles/coder/SOUL.md", "/opt/data/profiles/writer/SOUL.md")
	docker(t, "exec", name, "hermes-reconcile")
	awaitDockerStatus(t, name, "coder true true\ndefault false false\nwriter false false\n")
	docker(t, "exec", "-u", "hermes", name, "hermes-svstat", "coder")
	// The stand-in records that it runs a moment after it was started.
	s6test.Await(t, func() error {
		return exec.Command("docker", "exec", name, "grep", "-q", "running", "/opt/data/profiles/coder/gateway_state.json").Run()
	})
	for _, end := range [][]string{{"restart"}, {"kill"}} {
		docker(t, append(end, name)...)
		if end[0] == "kill" {
			docker(t, "start", name)
		}
		awaitBooted(t, name)
		awaitDockerStatus(t, name, "coder true true\ndefault false false\nwriter false false\n")
		docker(t, "exec", name, "grep", "-q", "TOKEN=x", "/run/service/gateway-coder/run")
	}
}
