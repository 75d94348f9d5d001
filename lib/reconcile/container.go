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

	"hermes-s6/lib/profile"
)

// A Container is what a container was started to do, as far as it matters here.
type Container struct {
	Kind
	// Profile is the profile whose gateway the command runs: the root profile if the command
	// names none, "" if it runs no gateway.
	Profile string
}

// A Kind is the kind of command that a container was started with.
type Kind int

const (
	Other   Kind = iota
	Server       // hermes dashboard and the like: it supervises no gateways
	Gateway      // hermes gateway run: how an image without s6 was started
	// Unsupervised is hermes gateway run --no-supervise. It runs a gateway itself, and no
	// other may start beside that one.
	Unsupervised
)

// rcInit is s6-overlay's stage 2. It runs for as long as the container does. Its arguments are
// a runlevel and the container's command.
const rcInit = "/run/s6/basedir/scripts/rc.init"

// FindContainer looks for the container's command line in procfs, among the arguments of
// root's processes only, since any process can choose its own name. An error means that it
// could not look. It must not be ignored: if a dashboard is mistaken for something else, each
// gateway runs a second time.
func FindContainer() (Container, error) {
	// Without the file of stage 2, no process runs it, and a host may have thousands of
	// processes to look at.
	if _, err := os.Stat(rcInit); errors.Is(err, fs.ErrNotExist) {
		return Container{}, nil
	}
	return findContainer("/proc")
}

// findContainer looks in proc, the directory of procfs.
func findContainer(proc string) (Container, error) {
	entries, err := os.ReadDir(proc)
	if errors.Is(err, fs.ErrNotExist) {
		return Container{}, nil
	}
	if err != nil {
		return Container{}, err
	}
	for _, e := range entries {
		if e.Name()[0] < '0' || e.Name()[0] > '9' {
			continue
		}
		cmdline, err := rootsCommandLine(filepath.Join(proc, e.Name()))
		if err != nil {
			return Container{}, err
		}
		if command, ok := containerCommand(cmdline); ok {
			return Classify(command), nil
		}
	}
	return Container{}, nil
}

// rootsCommandLine reads the command line of the process whose directory in procfs is dir. It
// returns nil if the process is not root's (or, if we are not root, not ours), or has ended.
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
		err = fmt.Errorf("cannot tell what this container is for: %w", err)
	}
	return cmdline, err
}

// containerCommand extracts the container's command from rc.init's command line.
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

// Classify reports what a container started as command does. The command may begin with
// programs that lead to hermes: the image's wrapper, hermes itself. hermes accepts options
// anywhere, up to --. Of those that can precede its subcommand, -p and --profile take a value.
func Classify(command []string) Container {
	for len(command) > 0 && (strings.Contains(command[0], "/") || command[0] == "hermes") {
		command = command[1:]
	}
	if end := slices.Index(command, "--"); end >= 0 {
		command = command[:end]
	}
	profileName, unsupervised := profile.Default, false
	var words []string
	for len(command) > 0 {
		word := command[0]
		option, value, joined := strings.Cut(word, "=")
		command = command[1:]
		switch {
		case option == "-p" || option == "--profile":
			if !joined {
				value, command = firstOf(command)
			}
			profileName = value
		case option == "--no-supervise":
			unsupervised = true
		case !strings.HasPrefix(word, "-"):
			words = append(words, word)
		}
	}
	first, words := firstOf(words)
	second, _ := firstOf(words)
	switch {
	case slices.Contains([]string{"dashboard", "serve", "web", "gui", "desktop", "acp", "mcp"}, first):
		return Container{Kind: Server}
	case first != "gateway" || second != "run":
		return Container{}
	case unsupervised:
		return Container{Unsupervised, profileName}
	}
	return Container{Gateway, profileName}
}

// firstOf splits the first word off words, "" if there is none.
func firstOf(words []string) (string, []string) {
	if len(words) == 0 {
		return "", nil
	}
	return words[0], words[1:]
}
