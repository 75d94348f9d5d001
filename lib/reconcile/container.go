//go:build linux

package reconcile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A Container is what a container was started to do, as far as it matters here.
type Container int

const (
	Other     Container = iota
	Dashboard           // hermes dashboard: it supervises no gateways
	Gateway             // hermes gateway run: what an image without s6 was started as
)

// rcInit is s6-overlay's stage 2. It runs for as long as the container does, and
// its arguments are a runlevel and the container's command.
const rcInit = "/run/s6/basedir/scripts/rc.init"

// FindContainer looks for the container's command line in procfs: among the arguments
// of root's processes, since anybody can call a process what he likes. An error says
// that it could not look: a dashboard that is taken for something else would run each
// gateway a second time.
func FindContainer() (Container, error) {
	// Where stage 2 is not, nobody runs it, and a host may have thousands of
	// processes to look at.
	if _, err := os.Stat(rcInit); errors.Is(err, fs.ErrNotExist) {
		return Other, nil
	}
	return findContainer("/proc")
}

// findContainer looks in proc, the directory of procfs.
func findContainer(proc string) (Container, error) {
	entries, err := os.ReadDir(proc)
	if errors.Is(err, fs.ErrNotExist) {
		return Other, nil
	}
	if err != nil {
		return Other, err
	}
	for _, e := range entries {
		if e.Name()[0] < '0' || e.Name()[0] > '9' {
			continue
		}
		cmdline, err := rootsCommandLine(filepath.Join(proc, e.Name()))
		if err != nil {
			return Other, err
		}
		if command, ok := containerCommand(cmdline); ok {
			return Classify(command), nil
		}
	}
	return Other, nil
}

// rootsCommandLine reads the command line of the process whose directory in procfs
// is dir; nil where it is not root's (or, where we are not root, ours), or has ended.
func rootsCommandLine(dir string) ([]byte, error) {
	var st syscall.Stat_t
	err := syscall.Lstat(dir, &st)
	if err == nil && int(st.Uid) != os.Geteuid() {
		return nil, nil
	}
	var cmdline []byte
	if err == nil {
		cmdline, err = os.ReadFile(filepath.Join(dir, "cmdline"))
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		err = fmt.Errorf("what this container is for: %w", err)
	}
	return cmdline, err
}

// containerCommand takes the container's command from rc.init's command line.
func containerCommand(cmdline []byte) ([]string, bool) {
	var args []string
	for _, a := range bytes.Split(bytes.TrimSuffix(cmdline, []byte{0}), []byte{0}) {
		args = append(args, string(a))
	}
	i := slices.Index(args, rcInit)
	if i < 0 || i > 2 {
		return nil, false
	}
	return args[min(i+2, len(args)):], true
}

// Classify tells what a container started as command does. The command may
// begin with programs that lead to hermes: the image's wrapper, hermes itself.
// hermes takes options before its subcommand; those that take a value are
// -p and --profile.
func Classify(command []string) Container {
	for len(command) > 0 && (strings.Contains(command[0], "/") || command[0] == "hermes") {
		command = command[1:]
	}
	for len(command) > 0 && strings.HasPrefix(command[0], "-") {
		skip := 1
		if command[0] == "-p" || command[0] == "--profile" {
			skip = 2
		}
		command = command[min(skip, len(command)):]
	}
	switch {
	case len(command) > 0 && command[0] == "dashboard":
		return Dashboard
	case len(command) > 1 && command[0] == "gateway" && command[1] == "run":
		return Gateway
	}
	return Other
}
