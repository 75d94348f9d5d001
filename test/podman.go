//go:build linux

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hermes-s6/lib/must"
)

// podmanUID is the account that podman runs as, and subordinate the first of the uids and
// gids that are its to give to containers.
const podmanUID, subordinate = 64100, 6410000

// A podman is one without root: an account's own, with all that it stores below dir.
type podman struct {
	t   *testing.T
	dir string
	// runtime runs the containers: Debian's default does not know each layout of cgroups.
	runtime string
}

// newPodman prepares an account's podman, and leaves the test out where there can be none.
// The account is in files of its own, which only it sees in place of this machine's.
func newPodman(t *testing.T) *podman {
	t.Helper()
	needSource(t)
	if os.Geteuid() != 0 {
		leaveOut(t, "an account and its subordinate uids need root")
	}
	for _, program := range []string{"podman", "newuidmap"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: run `make deps`", err)
		}
	}
	dir, err := os.MkdirTemp("", "hermes-podman-") // short: sockets are in it
	must.Do(t, err)
	p := &podman{t: t, dir: dir}
	t.Cleanup(p.remove)
	for name, line := range map[string]string{
		"passwd": fmt.Sprintf("pod:x:%d:%d::%s/home:/bin/sh\n", podmanUID, podmanUID, dir),
		"group":  fmt.Sprintf("pod:x:%d:\n", podmanUID),
		"subuid": fmt.Sprintf("pod:%d:65536\n", subordinate),
		"subgid": fmt.Sprintf("pod:%d:65536\n", subordinate),
	} {
		was, _ := os.ReadFile("/etc/" + name)
		must.Do(t, os.WriteFile(filepath.Join(dir, name), append(was, line...), 0o644))
		_, err := os.Stat("/etc/" + name)
		must.Do(t, err)
	}
	must.Do(t, os.Chmod(dir, 0o755))
	for _, name := range []string{"home", "run"} {
		must.Do(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		must.Do(t, os.Chown(filepath.Join(dir, name), podmanUID, podmanUID))
	}
	return p
}

// asAccount runs a program as the account, with its passwd(5) and so on.
const asAccount = `cd "$1" && for f in passwd group subuid subgid; do mount --bind "$f" "/etc/$f"; done
dir=$1 uid=$2 && shift 2
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups env -i PATH="$PATH" HOME="$dir/home" XDG_RUNTIME_DIR="$dir/run" "$@"`

func (p *podman) command(args ...string) *exec.Cmd {
	words := []string{"-m", "--propagation", "slave", "sh", "-ec", asAccount, "sh", p.dir, fmt.Sprint(podmanUID), "podman"}
	if p.runtime != "" {
		words = append(words, "--runtime", p.runtime)
	}
	return exec.Command("unshare", append(words, args...)...)
}

// run runs a podman command, which has to succeed, and returns what it printed.
func (p *podman) run(args ...string) string {
	p.t.Helper()
	var stderr strings.Builder
	cmd := p.command(args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("podman %v: %v: %s%s", args, err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// load makes an image of the files in a tar archive, and those below upper, with changes.
func (p *podman) load(archive, upper, image string, changes ...string) {
	p.t.Helper()
	whole := filepath.Join(p.dir, "image.tar")
	const add = `mkdir root && tar -C root -xf "$0" && cp -a "$1/." root/ && tar -C root -cf "$2" . && rm -rf root`
	run(p.t, "sh", "-ec", `cd "$3" && `+add, archive, upper, whole, p.dir)
	args := []string{"import", "-q"}
	for _, change := range changes {
		args = append(args, "--change", change)
	}
	p.run(append(args, whole, image)...)
	must.Do(p.t, os.Remove(whole))
}

// need leaves the test out where no container of image can be run, by whichever runtime.
func (p *podman) need(image string) {
	p.t.Helper()
	var said []string
	for _, p.runtime = range []string{"crun", "runc"} {
		if _, err := exec.LookPath(p.runtime); err != nil {
			continue
		}
		out, err := p.command("run", "--rm", "--network", "none", "--entrypoint", "true", image).CombinedOutput()
		if err == nil {
			return
		}
		said = append(said, p.runtime+": "+strings.TrimSpace(string(out)))
	}
	leaveOut(p.t, "podman without root cannot run a container here: %s", strings.Join(said, "; "))
}

// remove ends all that the account runs and removes all that it has.
func (p *podman) remove() {
	_ = p.command("rm", "-f", "-a", "-t", "0").Run()
	_ = p.command("system", "migrate").Run() // ends the process that keeps its namespaces
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Error(err)
	}
}
