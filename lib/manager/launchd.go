package manager

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/fail"
)

// An agent is a gateway's agent of launchd.
type agent struct{ profile string }

func (a agent) label() string { return suffixed("ai.hermes.gateway", "-", a.profile) }

func (a agent) domain() string { return "gui/" + strconv.Itoa(os.Getuid()) }

func (a agent) target() string { return a.domain() + "/" + a.label() }

// launchctl's exit codes, where it gives the kernel's or its own numbers
// (`launchctl error NUMBER` says what they mean).
const (
	noSuchProcess = 3   // ESRCH: the agent is not loaded, or does not run
	noSuchAgent   = 113 // Could not find service in domain
	noSuchDomain  = 125 // Domain does not support specified action
)

func (a agent) launchctl(deadline time.Time, args ...string) ([]byte, error) {
	out, err := run(deadline, "launchctl", args...)
	if exit, ok := failed(err); ok && exit.Code == noSuchDomain {
		return out, fail.Errorf(fail.Program, "launchctl: there is no domain %s: log in to the desktop first, over ssh there is none: %s", a.domain(), exit.Said)
	}
	return out, err
}

// missing tells whether err says that the agent is not loaded.
func missing(err error) bool {
	exit, ok := failed(err)
	return ok && (exit.Code == noSuchProcess || exit.Code == noSuchAgent)
}

// plist is the file that defines the agent.
func (a agent) plist() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(home, "Library", "LaunchAgents", a.label()+".plist")
	if _, err := os.Stat(path); err != nil {
		return "", noSuchService(a.profile, "launchd has no agent "+a.label()+", and there is no "+path)
	}
	return path, nil
}

// kick starts the agent, which it loads where that is needed: stop unloads it.
func (a agent) kick(deadline time.Time, options ...string) error {
	kickstart := append(append([]string{"kickstart"}, options...), a.target())
	_, err := a.launchctl(deadline, kickstart...)
	if !missing(err) {
		return err
	}
	plist, err := a.plist()
	if err != nil {
		return err
	}
	if _, err := a.launchctl(deadline, "bootstrap", a.domain(), plist); err != nil {
		return err
	}
	_, err = a.launchctl(deadline, "kickstart", a.target())
	return err
}

func (a agent) start(_ bool, deadline time.Time) error { return a.kick(deadline) }
func (a agent) restart(deadline time.Time) error       { return a.kick(deadline, "-k") }

// stop unloads the agent: one that is only killed is started again (KeepAlive).
func (a agent) stop(_ bool, deadline time.Time) error {
	_, err := a.launchctl(deadline, "bootout", a.target())
	if missing(err) {
		_, err = a.plist() // not loaded, so stopped, if there is one
	}
	return err
}

func (a agent) running(deadline time.Time) (pid int, up bool, err error) {
	out, err := a.launchctl(deadline, "print", a.target())
	if missing(err) {
		_, err = a.plist()
		return 0, false, err
	}
	for line := range strings.Lines(string(out)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "pid = "); ok && pid == 0 {
			pid, _ = strconv.Atoi(value)
		}
	}
	return pid, pid != 0, err
}
