//go:build linux

package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// image is made from a root with these packages, and kept for the next run. If you change the
// packages, change the name.
const (
	image    = "hermes-s6-test:bookworm-xz"
	packages = "s6,execline,xz-utils"
)

// docker runs a docker command and returns its output.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "docker", args...)
}

// needDocker skips the test if there is no engine, or no root to make an image from, and says
// so where `make test` shows it.
func needDocker(t *testing.T) {
	t.Helper()
	needSource(t)
	if out, err := exec.Command("docker", "info", "-f", "{{.ServerVersion}}").CombinedOutput(); err != nil {
		leaveOut(t, "no Docker engine is running here: %s", bytes.TrimSpace(out))
	}
	if exec.Command("docker", "image", "inspect", image).Run() == nil {
		return
	}
	run(t, "docker", "import", rootArchive(t), image)
}

// rootArchive makes a tar archive of a root with packages, once.
func rootArchive(t *testing.T) string {
	t.Helper()
	archive, err := rootMade()
	if err != nil {
		leaveOut(t, "an image: %v", err)
	}
	return archive
}

var rootMade = sync.OnceValues(func() (string, error) {
	archive := filepath.Join(scratch, "root.tar")
	const export = `id=$(docker create "$0" true) && docker export -o "$1" "$id" && docker rm "$id"`
	if exec.Command("docker", "image", "inspect", image).Run() == nil && exec.Command("sh", "-ec", export, image, archive).Run() == nil {
		return archive, nil // sooner than to make it again
	}
	if _, err := exec.LookPath("debootstrap"); err != nil || os.Geteuid() != 0 {
		return "", errors.New("needs root and debootstrap")
	}
	root := filepath.Join(scratch, "root")
	defer os.RemoveAll(root)
	if out, err := exec.Command("debootstrap", "--variant=minbase", "--include="+packages, "bookworm", root).CombinedOutput(); err != nil {
		return "", fmt.Errorf("debootstrap: %w: %.300s", err, out[max(0, len(out)-300):])
	}
	if out, err := exec.Command("tar", "-C", root, "-cf", archive, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("tar: %w: %s", err, out)
	}
	return archive, nil
})

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

// awaitDockerStatus waits until hermes-svstat -o name,wantedup,up prints want in a container.
func awaitDockerStatus(t *testing.T, name, want string) {
	t.Helper()
	awaitOutput(t, want, func() string {
		out, _ := exec.Command("docker", "exec", name, "hermes-svstat", "-o", "name,wantedup,up").CombinedOutput()
		return string(out)
	})
}
