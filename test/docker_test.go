//go:build linux

package hermes_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// image is made of a root with these packages, and kept for the next run: who
// changes the packages changes the name.
const (
	image    = "hermes-s6-test:bookworm-xz"
	packages = "s6,execline,xz-utils"
)

// docker runs a docker command and returns its output.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "docker", args...)
}

// needDocker skips the test where there is no engine, or no root to make an
// image of, and says so where `make test` shows it.
func needDocker(t *testing.T) {
	t.Helper()
	leaveOut := func(why string) {
		note("%s: left out: %s", t.Name(), why)
		t.Skip(why)
	}
	if out, err := exec.Command("docker", "info", "-f", "{{.ServerVersion}}").CombinedOutput(); err != nil {
		leaveOut("no Docker engine is running here: " + string(bytes.TrimSpace(out)))
	}
	if exec.Command("docker", "image", "inspect", image).Run() == nil {
		return
	}
	if _, err := exec.LookPath("debootstrap"); err != nil || os.Geteuid() != 0 {
		leaveOut("an image needs root and debootstrap")
	}
	root := filepath.Join(t.TempDir(), "root")
	if out, err := exec.Command("debootstrap", "--variant=minbase", "--include="+packages, "bookworm", root).CombinedOutput(); err != nil {
		leaveOut(fmt.Sprintf("debootstrap: %v: %.300s", err, out[max(0, len(out)-300):]))
	}
	run(t, "sh", "-c", `tar -C "$0" -c . | docker import - "$1"`, root, image)
}

// awaitBooted waits until a container's init scripts have run.
func awaitBooted(t *testing.T, name string) {
	t.Helper()
	s6test.Await(t, func() error {
		out, err := exec.Command("docker", "exec", name, "test", "-e", "/run/booted").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// awaitDockerStatus waits until hermes-svstat -o name,wantedup,up prints want in a
// container.
func awaitDockerStatus(t *testing.T, name, want string) {
	t.Helper()
	s6test.Await(t, func() error {
		out, _ := exec.Command("docker", "exec", name, "hermes-svstat", "-o", "name,wantedup,up").CombinedOutput()
		if string(out) != want {
			return fmt.Errorf("status:\n%swant:\n%s", out, want)
		}
		return nil
	})
}

// TestDocker boots a container of a real engine on a named volume: what ran runs
// again after docker restart and after docker kill, and docker exec with its
// bare PATH finds our programs.
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
	docker(t, "exec", "-u", "hermes", name, "touch", "/opt/data/profiles/coder/SOUL.md", "/opt/data/profiles/writer/SOUL.md")
	docker(t, "exec", name, "hermes-svc-register", "--wait", "--env", "TOKEN=x", "coder")
	docker(t, "exec", name, "hermes-reconcile")
	awaitDockerStatus(t, name, "coder true true\nwriter false false\n")
	docker(t, "exec", "-u", "hermes", name, "hermes-svstat", "coder")
	// The stand-in says that it runs a moment after it was started.
	s6test.Await(t, func() error {
		return exec.Command("docker", "exec", name, "grep", "-q", "running", "/opt/data/profiles/coder/gateway_state.json").Run()
	})
	for _, end := range [][]string{{"restart"}, {"kill"}} {
		docker(t, append(end, name)...)
		if end[0] == "kill" {
			docker(t, "start", name)
		}
		awaitBooted(t, name)
		awaitDockerStatus(t, name, "coder true true\nwriter false false\n")
		docker(t, "exec", name, "grep", "-q", "TOKEN=x", "/run/service/gateway-coder/run")
	}
}
