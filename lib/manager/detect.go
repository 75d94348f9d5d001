// Package manager knows the service managers that can run gateways and how to
// tell which one is in charge of this system. It does not talk to them.
package manager

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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

// Kinds are all the values that a Kind can have.
var Kinds = []Kind{S6, Systemd, Launchd, Windows, None}

// Detect tells which service manager is in charge of the system whose root
// directory is root. What cannot be read counts as absent, so that it answers
// an unprivileged account as it answers root.
func Detect(root string) Kind {
	switch {
	case runtime.GOOS == "darwin":
		return Launchd
	case runtime.GOOS == "windows":
		return Windows
	case isS6(root):
		return S6
	case isSystemd(root):
		return Systemd
	}
	return None
}

// isS6 asks for two facts, since each alone can be a coincidence: a process
// that merely calls itself s6-svscan, a /run/s6 left by an earlier boot.
// /proc/1/exe would say more, but to root alone.
func isS6(root string) bool {
	comm, err := os.ReadFile(filepath.Join(root, "proc/1/comm"))
	return err == nil && strings.TrimSuffix(string(comm), "\n") == "s6-svscan" &&
		isDir(filepath.Join(root, "run/s6/basedir"))
}

func isSystemd(root string) bool {
	if !isDir(filepath.Join(root, "run/systemd/system")) {
		return false
	}
	_, err := exec.LookPath("systemctl")
	return err == nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
