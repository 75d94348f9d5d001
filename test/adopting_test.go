//go:build linux

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hermes-s6/lib/must"
)

// A hermesDockerfile stands in for the Dockerfile of Hermes: the lines that the patch has to
// find, among others.
const hermesDockerfile = `FROM debian
COPY . /opt/hermes

# services
COPY docker/s6-rc.d/ /etc/s6-overlay/s6-rc.d/

# init scripts
RUN touch /etc/cont-init.d/01-hermes-setup
COPY --chmod=0755 docker/cont-init.d/015-supervise-perms /etc/cont-init.d/015-supervise-perms
COPY --chmod=0755 docker/cont-init.d/02-reconcile-profiles /etc/cont-init.d/02-reconcile-profiles

ENTRYPOINT [ "/init" ]
`

// TestAdoptingPatch: the patch in docs/adopting.md for an image of Hermes is as short as that
// page says. patch and git apply it wherever its lines are, and what it then does works, with
// an archive as we release it, below another root.
func TestAdoptingPatch(t *testing.T) {
	needSource(t)
	page, err := os.ReadFile("docs/adopting.md")
	must.Do(t, err)
	_, diff, _ := strings.Cut(string(page), "\n```diff\n")
	diff, _, found := strings.Cut(diff, "```\n")
	if lines := strings.Count(diff, "\n"); !found || lines >= 40 {
		t.Fatalf("the page's patch has %d lines, and ends: %v", lines, found)
	}
	var patched string
	for _, how := range [][]string{{"git", "apply", "--unidiff-zero"}, {"patch", "-s", "-p1"}} {
		dir := t.TempDir()
		file := filepath.Join(dir, "Dockerfile")
		must.Do(t, os.WriteFile(file, []byte(hermesDockerfile), 0o644))
		cmd := exec.Command(how[0], how[1:]...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(diff)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", how, err, out)
		}
		data, err := os.ReadFile(file)
		must.Do(t, err)
		if patched != "" && patched != string(data) {
			t.Errorf("%q makes of it\n%s\nnot\n%s", how, data, patched)
		}
		patched = string(data)
	}
	before, run, _ := strings.Cut(patched, "\nRUN --mount=type=bind,from=hermes-s6,target=/mnt ")
	run, after, _ := strings.Cut(run, "\n#")
	if strings.Contains(before+after, "COPY docker/") || !strings.Contains(before, "/01-hermes-setup") {
		t.Errorf("the services are copied, or the order is wrong:\n%s", patched)
	}
	adopt(t, run)
	for _, line := range strings.Split(after, "\n") {
		if hook, ok := strings.CutPrefix(line, "ENV S6_STAGE2_HOOK="); ok {
			_, err := os.Stat("rootfs" + hook)
			must.Do(t, err)
			return
		}
	}
	t.Errorf("there is no hook:\n%s", patched)
}

// adopt runs what the patch makes docker build run, with paths that lead below a directory.
func adopt(t *testing.T, run string) {
	t.Helper()
	root := t.TempDir()
	for path, text := range map[string]string{
		"etc/cont-init.d/01-hermes-setup":             "theirs",
		"opt/hermes/hermes_cli/service_manager.py":    "theirs",
		"opt/hermes/gateway/s6_manager.py":            "theirs",
		"opt/hermes/gateway/__init__.py":              "",
		"opt/hermes/hermes_cli/__init__.py":           "",
		"archive/etc/cont-init.d/015-supervise-perms": "ours",
	} {
		must.Do(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755))
		must.Do(t, os.WriteFile(filepath.Join(root, path), []byte(text), 0o644))
	}
	source, err := filepath.Abs("python")
	must.Do(t, err)
	must.Do(t, os.MkdirAll(root+"/mnt/dist", 0o755))
	must.Do(t, os.Symlink(source, root+"/mnt/python"))
	script := `tar -C archive -cJf mnt/dist/hermes-s6-v1-"$(uname -m)".tar.xz etc
touch mnt/dist/hermes-s6-v1-other.tar.xz
` + strings.NewReplacer("-C /", "-C "+root, "/mnt/", root+"/mnt/", "/etc/", root+"/etc/", "/opt/", root+"/opt/").Replace(run) + `
PYTHONDONTWRITEBYTECODE=1 python3 -c '
from gateway import s6_manager
from hermes_cli import service_manager
assert s6_manager.S6ServiceManager is service_manager.S6ServiceManager'
ls ` + root + `/etc/cont-init.d gateway`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if want := "00-hermes-setup\n015-supervise-perms"; err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "service_manager.py") {
		t.Errorf("%v\n%s", err, out)
	}
}
