package manager

import (
	"os"
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/fail"
)

// A unit is a gateway's unit of systemd.
type unit struct {
	profile string
	system  bool // the system's, not the user's
}

func (u unit) name() string { return suffixed("hermes-gateway", "-", u.profile) + ".service" }

// systemctl's exit codes (systemctl(1), "Exit status").
const unitNotLoaded = 5

func (u unit) systemctl(deadline time.Time, args ...string) ([]byte, error) {
	which := "--user"
	if u.system {
		which = "--system"
	}
	out, err := run(deadline, "systemctl", append([]string{which, "--no-ask-password"}, args...)...)
	exit, ok := failed(err)
	switch {
	case !ok:
		return out, err
	case exit.Code == unitNotLoaded:
		return out, noSuchService(u.profile, "systemd has no unit "+u.name())
	case !u.system && strings.Contains(exit.Said, "connect to") && strings.Contains(exit.Said, "bus"):
		return out, fail.Hint(fail.Errorf(fail.Program, "systemctl --user: cannot reach the user's systemd: %s", exit.Said),
			"log in as the user; or set XDG_RUNTIME_DIR=/run/user/%d, after loginctl enable-linger; or use --system", os.Getuid())
	}
	return out, err
}

// job runs a verb that systemd makes a job of. Unless we wait for the job, it is only queued.
func (u unit) job(verb string, wait bool, deadline time.Time) error {
	args := []string{verb}
	if !wait {
		args = append(args, "--no-block")
	}
	_, err := u.systemctl(deadline, append(args, "--", u.name())...)
	return err
}

func (u unit) start(wait bool, deadline time.Time) error { return u.job("start", wait, deadline) }
func (u unit) stop(wait bool, deadline time.Time) error  { return u.job("stop", wait, deadline) }
func (u unit) restart(deadline time.Time) error          { return u.job("restart", true, deadline) }

func (u unit) running(deadline time.Time) (pid int, up bool, err error) {
	out, err := u.systemctl(deadline, "show", "--property=LoadState,ActiveState,MainPID", "--", u.name())
	if err != nil {
		return 0, false, err
	}
	facts := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		facts[key] = value
	}
	if facts["LoadState"] == "not-found" {
		return 0, false, noSuchService(u.profile, "systemd has no unit "+u.name())
	}
	pid, _ = strconv.Atoi(facts["MainPID"])
	switch facts["ActiveState"] {
	case "active", "reloading", "deactivating":
		return pid, true, nil
	}
	return 0, false, nil
}
