// Package manager knows the service managers that can run gateways: how to detect which one is
// in charge of this system, what each one can do, and how to control systemd, launchd and the
// Windows task scheduler with their own tools. A gateway under s6 is more than a name, so
// package gateway implements that service manager.
package manager

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"

	"hermes-s6/lib/proc"
)

// A Kind names a service manager.
type Kind string

const (
	S6      Kind = "s6"
	Systemd Kind = "systemd"
	Launchd Kind = "launchd"
	Windows Kind = "windows"
	None    Kind = "none"
)

// Kinds are all values of a Kind.
var Kinds = []Kind{S6, Systemd, Launchd, Windows, None}

// Evidence is what Detect decides by. What could not be read is "" or false.
type Evidence struct {
	S6      S6Evidence      `json:"s6"`
	Systemd SystemdEvidence `json:"systemd"`
	Launchd SystemEvidence  `json:"launchd"`
	Windows SystemEvidence  `json:"windows"`
}

// S6Evidence consists of two facts, because each alone can be a coincidence: a process that
// merely calls itself s6-svscan, a /run/s6 from an earlier boot. /proc/1/exe would say more,
// but only root can read it.
type S6Evidence struct {
	Comm    string `json:"/proc/1/comm"`
	Basedir bool   `json:"/run/s6/basedir"`
}

// SystemdEvidence is what sd_booted(3) checks, and the tool that we need.
type SystemdEvidence struct {
	Booted    bool   `json:"/run/systemd/system"`
	Systemctl string `json:"systemctl"` // its path
}

// SystemEvidence is for managers that are a part of their system.
type SystemEvidence struct {
	OS string `json:"os"`
}

// Detect returns the service manager in charge of the system whose root directory is root.
func Detect(root string) Kind { return examine(root, false).Kind() }

// Examine gathers the evidence. A file that cannot be read counts as absent, so that an
// unprivileged account gets the same answer as root.
func Examine(root string) Evidence { return examine(root, true) }

// examine is Examine, but looks only for what matters, unless all is set.
func examine(root string, all bool) Evidence {
	p := probe(root)
	e := Evidence{
		S6:      S6Evidence{p.line("/proc/1/comm"), p.isDir("/run/s6/basedir")},
		Launchd: SystemEvidence{runtime.GOOS},
		Windows: SystemEvidence{runtime.GOOS},
	}
	if all || e.Kind() == None {
		e.Systemd.Booted = p.isDir("/run/systemd/system")
	}
	if all || e.Systemd.Booted {
		e.Systemd.Systemctl = p.program("systemctl")
	}
	return e
}

// Kind returns the service manager that e indicates.
func (e Evidence) Kind() Kind {
	switch {
	case e.Launchd.OS == "darwin":
		return Launchd
	case e.Windows.OS == "windows":
		return Windows
	case e.S6.Comm == "s6-svscan" && e.S6.Basedir:
		return S6
	case e.Systemd.Booted && e.Systemd.Systemctl != "":
		return Systemd
	}
	return None
}

// A probe examines the system below a directory.
type probe string

// path returns the path of name below p. That system's links lead to places inside it, as they
// would after chroot.
func (p probe) path(name string) string {
	if p == "/" {
		return name
	}
	path, err := securejoin.SecureJoin(string(p), name)
	if err != nil {
		return filepath.Join(string(p), "nowhere")
	}
	return path
}

func (p probe) line(name string) string {
	return strings.TrimSuffix(string(proc.Head(p.path(name))), "\n")
}

func (p probe) isDir(name string) bool {
	info, err := os.Stat(p.path(name))
	return err == nil && info.IsDir()
}

// program returns the path of the program name, on PATH or in the usual directories.
func (p probe) program(name string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin", "/bin") {
		if !filepath.IsAbs(dir) {
			continue
		}
		path := p.path(filepath.Join(dir, name))
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}
