//go:build linux

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hermes-s6/lib/must"
	"hermes-s6/lib/s6/s6test"
)

// TestPodman runs deploy/hermes.container as an account without any privilege: the command
// is the one that podman's own generator makes of it. What ran runs again when its
// service is started anew. A profile that is out of the container's reach costs the others
// nothing.
func TestPodman(t *testing.T) {
	p := newPodman(t)
	c := newContainer(t, "")
	const image = "localhost/hermes-s6:latest"
	p.load(rootArchive(t), c.upper(), image, `ENTRYPOINT ["/harness/init"]`,
		"ENV HERMES_HOME=/opt/data", "ENV S6_STAGE2_HOOK=/etc/s6-overlay/stage2-hook")
	p.need(image)
	start, stop := p.quadlet("ExecStart"), p.quadlet("ExecStop")
	start = slices.Insert(start, 1, "--network=none") // another needs a device that an account may not have

	p.run(start...)
	p.awaitBooted()
	p.run("exec", "-u", "hermes", "hermes", "mkdir", "/opt/data/profiles/coder")
	p.run("exec", "hermes", "hermes-svc-register", "--wait", "--env", "TOKEN=x", "coder")
	p.run("exec", "-u", "hermes", "hermes", "touch", "/opt/data/profiles/coder/SOUL.md")
	p.run("exec", "hermes", "hermes-reconcile")
	p.run("exec", "-u", "hermes", "hermes", "hermes-svc", "restart", "--wait", "coder")
	p.run("exec", "-u", "hermes", "hermes", "hermes-svc", "start", "--wait", "coder") // is recorded
	p.run("healthcheck", "run", "hermes")

	p.run(stop...)
	p.leaveStrange(p.run("volume", "inspect", "-f", "{{.Mountpoint}}", "hermes-home"))
	_ = os.Remove(filepath.Join(p.dir, "run/hermes.cid")) // podman 4.3, which has no generator, leaves it
	p.run(start...)
	p.awaitBooted()
	awaitOutput(t, "alien true true\ncoder true true\ndefault false false", func() string {
		out, _ := p.command("exec", "hermes", "hermes-svstat", "-o", "name,wantedup,up").Output()
		return strings.TrimSpace(string(out))
	})
	p.run("exec", "hermes", "grep", "-q", "TOKEN=x", "/run/service/gateway-coder/run")
	out := p.run("exec", "hermes", "cat", "/run/boot.out")
	if strings.Count(out, " exited 0") != 4 || strings.Count(out, "hermes-reconcile: fatal: ") != 1 || !strings.Contains(out, "profile=secret prior_state=None action=failed") {
		t.Errorf("the init scripts:\n%s", out)
	}
}

// leaveStrange puts profiles into a home of which no uid is the container's: its root may
// look into alien, not into secret, and give neither away.
func (p *podman) leaveStrange(home string) {
	for name, mode := range map[string]os.FileMode{"alien": 0o755, "secret": 0o700} {
		dir := filepath.Join(home, "profiles", name)
		must.Do(p.t, os.Mkdir(dir, mode))
		for file, text := range map[string]string{"SOUL.md": "", "gateway_state.json": `{"desired_state":"running"}`} {
			must.Do(p.t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
		}
	}
}

func (p *podman) awaitBooted() {
	p.t.Helper()
	s6test.Await(p.t, func() error {
		return p.command("exec", "hermes", "test", "-e", "/run/booted").Run()
	})
}

// quadlet returns a command of podman's in the service of deploy/hermes.container, for where
// no systemd makes a cgroup for it, and is told when it has started.
func (p *podman) quadlet(key string) []string {
	p.t.Helper()
	cmd := exec.Command("go", "run", "./quadlet", "../../deploy/hermes.container", key)
	cmd.Dir = "test/deploy"
	out, err := cmd.Output()
	must.Do(p.t, err)
	text := strings.NewReplacer("%t", filepath.Join(p.dir, "run"), "%N", "hermes").Replace(strings.TrimSpace(string(out)))
	words := strings.Split(text, "\n")
	if filepath.Base(words[0]) != "podman" {
		p.t.Fatalf("not podman: %q", words)
	}
	return slices.DeleteFunc(words[1:], func(w string) bool { return w == "--cgroups=split" || w == "--sdnotify=conmon" })
}
