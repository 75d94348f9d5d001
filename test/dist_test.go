//go:build linux

package test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"hermes-s6/lib/must"
)

// ours is the target of make dist whose archive runs here.
var ours = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "arm": "armhf"}[runtime.GOARCH]

// targets are what the tests release. More targets would show no more, and take longer. The
// values are what must be on record in the built programs.
var targets = map[string][]string{
	ours:            {"GOOS=linux", "GOARCH=" + runtime.GOARCH},
	"armhf":         {"GOOS=linux", "GOARCH=arm", "GOARM=7"},
	"windows-arm64": {"GOOS=windows", "GOARCH=arm64"},
}

// release runs make dist for the targets in the source tree dir, under umask, and returns the
// directory of the archives.
func release(dir, umask string) (string, error) {
	dist, err := os.MkdirTemp(scratch, "dist-")
	if err != nil {
		return "", err
	}
	var names []string
	for target := range targets {
		names = append(names, target)
	}
	cmd := exec.Command("sh", "-c", `umask "$0" && exec make -s dist DIST="$1" TARGETS="$2"`, umask, dist, strings.Join(names, " "))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make dist: %w: %s", err, out)
	}
	return dist, nil
}

// released releases what is tested here, once.
var released = sync.OnceValues(func() (string, error) { return release(".", "022") })

// archiveOf returns the path of what was released for target.
func archiveOf(t *testing.T, dist, target string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dist, "hermes-s6-*-"+target+".*[pz]"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", target, found, err)
	}
	return found[0]
}

func mustRelease(t *testing.T) string {
	t.Helper()
	needSource(t)
	dist, err := released()
	must.Do(t, err)
	return dist
}

// TestDistIsReproducible: a release depends on the commit alone. Another directory, umask,
// stray file and time zone change no byte of it.
func TestDistIsReproducible(t *testing.T) {
	needSource(t)
	if out, err := exec.Command("git", "rev-parse", "HEAD").CombinedOutput(); err != nil {
		leaveOut(t, "this is no clone: %s", bytes.TrimSpace(out))
	}
	first := mustRelease(t)
	tree := filepath.Join(t.TempDir(), "elsewhere", "tree")
	run(t, "git", "clone", "-q", ".", tree)
	// With what is not committed yet.
	run(t, "sh", "-c", `umask 077; git ls-files -coz --exclude-standard | tar -c --null -T - --ignore-failed-read | tar -C "$0" -x --no-same-permissions`, tree)
	must.Do(t, os.WriteFile(filepath.Join(tree, "notes.txt"), []byte("x"), 0o600))
	t.Setenv("TZ", "Asia/Tokyo")
	t.Setenv("GOFLAGS", "-buildvcs=auto") // it may be false here
	second, err := release(tree, "077")
	must.Do(t, err)
	names, err := os.ReadDir(first)
	if err != nil || len(names) != 3*len(targets) {
		t.Fatalf("%v, %v", names, err)
	}
	for _, file := range names {
		if readFile(t, filepath.Join(first, file.Name())) != readFile(t, filepath.Join(second, file.Name())) {
			t.Errorf("%s differs", file.Name())
		}
	}
}

// TestDistFails: an archive that cannot be completed is not released, and the previous release
// stays until then.
func TestDistFails(t *testing.T) {
	needSource(t)
	dist := t.TempDir()
	kept := filepath.Join(dist, "hermes-s6-1-x86_64.tar.xz")
	must.Do(t, os.WriteFile(kept, nil, 0o644))
	out, err := exec.Command("make", "-s", "dist", "DIST="+dist, "TARGETS=x86_46").CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "dist: fatal: x86_46: no such target\n") {
		t.Errorf("of no known target: %v: %s", err, out)
	}
	dir := t.TempDir()
	must.Do(t, os.WriteFile(filepath.Join(dir, "tar"), []byte("#!/bin/sh\nexec /bin/tar \"$@\" --no-such-option\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if out, err := exec.Command("make", "-s", "dist", "DIST="+dist, "TARGETS="+ours).CombinedOutput(); err == nil {
		t.Errorf("it is released though tar failed: %s", out)
	}
	if there, err := os.ReadDir(dist); err != nil || len(there) != 1 || there[0].Name() != filepath.Base(kept) {
		t.Errorf("there is %v, %v", there, err)
	}
}

// TestDist: each archive has its checksum and contains what make install installs, owned by
// root and built for the right target.
func TestDist(t *testing.T) {
	dist := mustRelease(t)
	installed := t.TempDir()
	run(t, "make", "-s", "install", "DESTDIR="+installed, "BIN="+t.TempDir(), "PROGRAMS=./cmd/hermes-s6")
	for target, want := range targets {
		path := archiveOf(t, dist, target)
		sum := fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(readFile(t, path))), filepath.Base(path))
		if got := readFile(t, path+".sha256"); got != sum {
			t.Errorf("%s.sha256: %q, want %q", path, got, sum)
		}
		var binary string
		if strings.HasSuffix(path, ".zip") {
			binary = unzip(t, path)
		} else {
			root := t.TempDir()
			run(t, "tar", "-C", root, "-Jxpf", path)
			binary = filepath.Join(root, "usr/bin/hermes-s6")
			checkLicense(t, filepath.Join(root, "usr/share/doc/hermes-s6/LICENSE"))
			checkArchive(t, path, installed)
		}
		info, err := buildinfo.ReadFile(binary)
		must.Do(t, err)
		var settings []string
		for _, s := range info.Settings {
			settings = append(settings, s.Key+"="+s.Value)
		}
		for _, setting := range append(want, "CGO_ENABLED=0", "-trimpath=true") {
			if !slices.Contains(settings, setting) {
				t.Errorf("%s: no %s in %v", target, setting, settings)
			}
		}
	}
	root := t.TempDir()
	run(t, "tar", "-C", root, "-Jxpf", archiveOf(t, dist, ours))
	run(t, "diff", "-r", "--no-dereference", installed, root)
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(archiveOf(t, dist, ours)), "hermes-s6-"), "-"+ours+".tar.xz")
	if got := run(t, filepath.Join(root, "usr/bin/hermes-svc"), "--version"); got != "hermes-svc "+version {
		t.Errorf("--version: %q, want %s", got, version)
	}
}

// checkArchive checks what tar -x would make of the archive at path: the files and links of
// installed, and nothing else.
func checkArchive(t *testing.T, path, installed string) {
	t.Helper()
	data, err := exec.Command("xz", "-dc", path).Output()
	must.Do(t, err)
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" {
			t.Errorf("%s: owner %d:%d %q:%q", h.Name, h.Uid, h.Gid, h.Uname, h.Gname)
		}
		if !filepath.IsLocal(h.Name) {
			t.Fatalf("%s: not relative", h.Name)
		}
		file := filepath.Join(installed, h.Name)
		info, err := os.Lstat(file)
		must.Do(t, err)
		switch h.Typeflag {
		case tar.TypeSymlink:
			if link, err := os.Readlink(file); err != nil || h.Linkname != link || strings.Contains(link, "/") {
				t.Errorf("%s: a link to %q, want %q, %v", h.Name, h.Linkname, link, err)
			}
		case tar.TypeReg:
			want := int64(0o644)
			if info.Mode()&0o100 != 0 {
				want = 0o755
			}
			if h.Mode != want {
				t.Errorf("%s: mode %o, want %o", h.Name, h.Mode, want)
			}
		default:
			t.Errorf("%s: of type %q", h.Name, h.Typeflag)
		}
	}
}

// unzip unpacks an archive for another system, and returns one of its programs.
func unzip(t *testing.T, path string) string {
	t.Helper()
	r, err := zip.OpenReader(path)
	must.Do(t, err)
	defer r.Close()
	want := map[string]os.FileMode{"LICENSE": 0o644, "hermes-detect.exe": 0o755, "hermes-svc.exe": 0o755, "hermes-svstat.exe": 0o755}
	if len(r.File) != len(want) {
		t.Errorf("%s: %d files", path, len(r.File))
	}
	dir := t.TempDir()
	for _, f := range r.File {
		if f.Mode() != want[f.Name] {
			t.Errorf("%s: %s: mode %v, want %v", path, f.Name, f.Mode(), want[f.Name])
		}
		in, err := f.Open()
		must.Do(t, err)
		data, err := io.ReadAll(in)
		must.Do(t, err)
		must.Do(t, os.WriteFile(filepath.Join(dir, f.Name), data, 0o600))
	}
	checkLicense(t, filepath.Join(dir, "LICENSE"))
	return filepath.Join(dir, "hermes-svc.exe")
}

// checkLicense checks that the file has our license, and those of others whose code is in our
// programs.
func checkLicense(t *testing.T, path string) {
	t.Helper()
	text := readFile(t, path)
	for _, want := range []string{"MIT License", "urfave/cli/v2 v", "The Go Authors", "Apache License", "SUSE LLC"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: %q is missing", path, want)
		}
	}
}

// TestDistUnpacked: unpacking replaces existing files but leaves directories alone: their
// modes, and links in their place.
func TestDistUnpacked(t *testing.T) {
	archive := archiveOf(t, mustRelease(t), ours)
	root := t.TempDir()
	run(t, "sh", "-ec", `umask 022; cd "$0"
		mkdir -p etc/cont-init.d programs usr share
		ln -s ../programs usr/bin
		ln -s usr/bin bin
		ln -s ../share usr/share
		echo theirs >etc/cont-init.d/02-reconcile-profiles
		echo theirs >etc/cont-init.d/01-hermes-setup
		chmod 711 etc; chmod 1777 programs; chmod 2755 share; chmod 700 etc/cont-init.d`, root)
	state := func() string {
		return run(t, "sh", "-ec", `cd "$0"; stat -c '%n %N %a' etc etc/cont-init.d programs usr usr/bin bin usr/share share; cat etc/cont-init.d/01-hermes-setup`, root)
	}
	before := state()
	run(t, "sh", "-ec", `umask 022; exec tar -C "$0" -Jxpf "$1"`, root, archive)
	if after := state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if text := readFile(t, filepath.Join(root, "etc/cont-init.d/02-reconcile-profiles")); text != readFile(t, "rootfs/etc/cont-init.d/02-reconcile-profiles") {
		t.Errorf("02-reconcile-profiles: %q", text)
	}
	if _, err := os.Stat(filepath.Join(root, "programs/hermes-svc")); err != nil {
		t.Error(err)
	}
}

// TestDistBoots boots a container from nothing but the archive, and checks what it leaves on
// the volume for an image without our programs.
func TestDistBoots(t *testing.T) {
	home := newHomeFor(t, "never")
	addProfile(t, home, "coder", `{"desired_state":"running"}`)
	c := newBareContainer(t, home)
	run(t, "tar", "-C", c.upper(), "-Jxpf", archiveOf(t, mustRelease(t), ours))
	c.boot()
	c.awaitStatus("coder true true\ndefault false false\nnever false false\n")
	c.awaitRegistrar()
	if out, code := c.exec(true, "hermes-svc-unregister", "never"); code != 0 {
		t.Errorf("hermes-svc-unregister by the account: exit code %d: %s", code, out)
	}
	c.awaitStatus("coder true true\ndefault false false\n")
	for _, args := range [][]string{
		{"hermes-svc-register", "--wait", "--env", "TOKEN=x", "never"},
		{"hermes-svc", "stop", "--wait", "never"},
	} {
		if out, code := c.exec(true, args...); code != 0 {
			t.Errorf("%v by the account: exit code %d: %s", args, code, out)
		}
	}
	c.stop()
	// Only what docs/adopting.md lists stays on the volume; gateway.pid is the stand-in's.
	want := `./gateway_service.json
./logs/container-boot.log
./logs/gateways/coder/current
./logs/gateways/coder/lock
./logs/gateways/coder/state
./logs/gateways/default/current
./logs/gateways/default/lock
./logs/gateways/default/state
./logs/gateways/never/current
./logs/gateways/never/lock
./logs/gateways/never/state
./profiles/coder/.gateway-fence
./profiles/coder/SOUL.md
./profiles/coder/gateway.pid
./profiles/coder/gateway_service.json
./profiles/coder/gateway_state.json
./profiles/never/.gateway-fence
./profiles/never/.gateway-planned-stop.json
./profiles/never/SOUL.md
./profiles/never/gateway_service.json
./profiles/never/gateway_state.json`
	if got := run(t, "sh", "-c", `cd "$0" && find . -type f ! -path ./profiles/never/gateway.pid | LC_ALL=C sort`, home); got != want {
		t.Errorf("left on the volume:\n%s\nwant:\n%s", got, want)
	}
}

// overlay makes stand-ins for s6-overlay's archives, with their checksums, and returns their
// directory: the harness has its place in an image. s6-overlay-suexec is set-UID root there,
// which must not get lost.
func overlay(t *testing.T) string {
	t.Helper()
	c := newBareContainer(t, "")
	dir := t.TempDir()
	run(t, "sh", "-ec", `cd "$0"
		cp harness/init init
		printf '#!/bin/sh\n' >command/s6-overlay-suexec
		chmod 4755 command/s6-overlay-suexec
		tar -C "$0" -cJf "$1/s6-overlay-noarch.tar.xz" --owner=0 --group=0 --exclude=./etc --exclude=./usr .
		cd "$1"
		for arch in x86_64 aarch64 arm; do
			tar -cJf "s6-overlay-$arch.tar.xz" -T /dev/null
		done
		for f in *; do sha256sum "$f" >"$f.sha256"; done`, c.upper(), dir)
	return dir
}

// TestDockerfile builds the image of our Dockerfile, with a server of our own in place of
// s6-overlay's, and boots it.
func TestDockerfile(t *testing.T) {
	needDocker(t)
	dist := mustRelease(t)
	archives := overlay(t)
	server := httptest.NewServer(http.FileServer(http.Dir(archives)))
	defer server.Close()
	context := t.TempDir()
	run(t, "cp", "-R", "Dockerfile", ".dockerignore", context)
	run(t, "cp", "-R", dist, filepath.Join(context, "dist"))
	name := fmt.Sprintf("hermes-dist-%d", os.Getpid())
	build := func(args ...string) (string, error) {
		cmd := exec.Command("docker", append([]string{"build", "--force-rm", "--build-arg", "BASE=" + image, "--build-arg", "S6_OVERLAY=" + server.URL}, append(args, context)...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	// The first stage has a name as well, so that it can be removed.
	for _, args := range [][]string{{"-t", name + "-unpacked", "--target", "unpacked"}, {"-t", name}} {
		if out, err := build(args...); err != nil {
			t.Fatalf("docker build %v: %v: %s", args, err, out)
		}
		t.Cleanup(func() { docker(t, "rmi", args[1]) })
	}

	volume := docker(t, "volume", "create", name)
	t.Cleanup(func() {
		docker(t, "rm", "-f", name)
		docker(t, "volume", "rm", volume)
	})
	docker(t, "run", "-d", "--name", name, "-v", volume+":/opt/data", "--network", "none", name)
	awaitBooted(t, name)
	docker(t, "exec", "-u", "hermes", name, "mkdir", "-p", "/opt/data/profiles/coder")
	// Register it before it is a profile, or the reconciler would do it.
	docker(t, "exec", "-u", "hermes", name, "hermes-svc-register", "--wait", "coder")
	docker(t, "exec", "-u", "hermes", name, "touch", "/opt/data/profiles/coder/SOUL.md")
	awaitDockerStatus(t, name, "coder true true\ndefault false false\n")
	docker(t, "exec", name, "test", "-u", "/command/s6-overlay-suexec")
	// The hook has run, and nothing was left over.
	docker(t, "exec", name, "test", "!", "-e", "/etc/s6-overlay/user-bundles.d/user/contents.d/dashboard")
	docker(t, "exec", name, "test", "!", "-e", "/archives")

	// A truncated download is not unpacked.
	noarch := filepath.Join(archives, "s6-overlay-noarch.tar.xz")
	must.Do(t, os.Truncate(noarch, 1000))
	out, err := build("--target", "unpacked")
	if err == nil || !strings.Contains(out, "s6-overlay-noarch.tar.xz: FAILED") {
		t.Errorf("docker build with a cut off archive: %v: %s", err, out)
	}
	// An old builder leaves unnamed images of a failed build.
	if steps := regexp.MustCompile(`(?m)^ ---> ([0-9a-f]{12})$`).FindAllStringSubmatch(out, -1); len(steps) > 1 {
		docker(t, "rmi", steps[len(steps)-1][1])
	}
}
