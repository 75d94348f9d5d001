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

// domains are those of launchd that an agent can be in: the desktop's, which is there only
// while its user is logged in at the screen, and the user's own. Hermes installs it in the
// one that it finds itself in.
func domains() [2]string {
	uid := strconv.Itoa(os.Getuid())
	return [2]string{"gui/" + uid, "user/" + uid}
}

// launchctl's exit codes, where it gives the kernel's or its own numbers
// (`launchctl error NUMBER` says what they mean).
const (
	noSuchProcess = 3   // ESRCH: the agent is not loaded, or does not run
	ioError       = 5   // EIO: among others, it is loaded, or still being unloaded
	inProgress    = 36  // EINPROGRESS: it is being unloaded
	already       = 37  // EALREADY: it is being loaded, or started
	noDomain      = 112 // Could not find specified domain
	noSuchAgent   = 113 // Could not find specified service
	disabled      = 119 // Service is disabled
	unfitDomain   = 125 // Domain does not support specified action
	unfitSession  = 134 // Service cannot load in requested session
)

// settleLimit is how long launchd may refuse a plist, where nobody says how long to wait:
// after an unloading it does so for about five seconds.
const settleLimit = 30 * time.Second

// code returns the exit code that err is about, 0 where it is about none.
func code(err error) int {
	exit, _ := failed(err)
	return exit.Code
}

// missing tells whether err says that the agent is not loaded.
func missing(err error) bool { return code(err) == noSuchProcess || code(err) == noSuchAgent }

// launchctl runs a subcommand on the agent in the domain that has it loaded. Where none
// has, missing(err), and domain is the first that there is.
func (a agent) launchctl(deadline time.Time, args ...string) (out []byte, domain string, err error) {
	var last, absent error
	for _, d := range domains() {
		out, last = run(deadline, "launchctl", append(args, d+"/"+a.label())...)
		switch {
		case code(last) == noDomain || code(last) == unfitDomain:
		case !missing(last):
			return out, d, last
		case absent == nil:
			domain, absent = d, last
		}
	}
	if absent != nil {
		return nil, domain, absent
	}
	exit, _ := failed(last)
	return nil, "", fail.Hint(fail.Errorf(fail.Program, "launchctl: no domain %s or %s: %s", domains()[0], domains()[1], exit.Said), "log in first")
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
	patience := deadline
	if patience.IsZero() {
		patience = time.Now().Add(settleLimit)
	}
	var refusal error // why launchd did not take the plist, last
	tries := 0
	err := poll(patience, "launchctl", func() (bool, error) {
		_, domain, err := a.launchctl(deadline, append([]string{"kickstart"}, options...)...)
		if !missing(err) {
			return true, a.explain(domain, err)
		}
		// The label can be in the way, half loaded.
		refusal, err = a.load(deadline, domain, tries == 1)
		tries++
		if err == nil && refusal == nil {
			_, domain, err = a.launchctl(deadline, "kickstart")
		}
		if refusal != nil || missing(err) {
			return false, nil
		}
		return true, a.explain(domain, err)
	})
	if refusal != nil && fail.CodeOf(err) == fail.Timeout {
		return refusal
	}
	return err
}

// load has launchd read the plist into domain, from which the label is removed before where
// unload is set. It returns apart what another try may help against.
func (a agent) load(deadline time.Time, domain string, unload bool) (refused, err error) {
	plist, err := a.plist()
	if err != nil {
		return nil, err
	}
	if unload {
		_, _ = run(deadline, "launchctl", "bootout", domain+"/"+a.label()) // it mostly has nothing to do
	}
	_, err = run(deadline, "launchctl", "bootstrap", domain, plist)
	switch code(err) {
	case already:
		return nil, nil
	case ioError:
		return fail.Hint(fail.Errorf(fail.Program, "%s does not take %s: %w", domain, plist, err), "if the agent is disabled, run launchctl enable %s/%s", domain, a.label()), nil
	}
	return nil, err
}

// explain is err of a start in domain with what helps, nil where the agent is starting anyway.
func (a agent) explain(domain string, err error) error {
	switch code(err) {
	case already:
		return nil
	case disabled:
		return fail.Hint(err, "run launchctl enable %s/%s", domain, a.label())
	case unfitDomain, unfitSession:
		return fail.Hint(err, "log in to the desktop first: the agent is not for %s", domain)
	}
	return err
}

func (a agent) start(wait bool, deadline time.Time) error {
	if err := a.kick(deadline); err != nil || !wait {
		return err
	}
	return a.await(deadline, func(pid int) bool { return pid != 0 })
}

func (a agent) restart(deadline time.Time) error {
	before, _, err := a.running(deadline)
	if err != nil {
		return err
	}
	if err := a.kick(deadline, "-k"); err != nil {
		return err
	}
	return a.await(deadline, func(pid int) bool { return pid != 0 && pid != before })
}

// stop unloads the agent: one that is only killed is started again (KeepAlive).
func (a agent) stop(wait bool, deadline time.Time) error {
	_, _, err := a.launchctl(deadline, "bootout")
	if missing(err) {
		_, err = a.plist() // not loaded, so stopped, if there is one
		return err
	}
	if code(err) == inProgress {
		err = nil
	}
	if err != nil || !wait {
		return err
	}
	return poll(deadline, "launchctl", func() (bool, error) {
		_, _, err := a.launchctl(deadline, "print")
		if missing(err) {
			return true, nil
		}
		return false, err
	})
}

// await waits until the agent's pid is one that will do.
func (a agent) await(deadline time.Time, will func(pid int) bool) error {
	return poll(deadline, "launchctl", func() (bool, error) {
		pid, _, err := a.running(deadline)
		return will(pid), err
	})
}

func (a agent) running(deadline time.Time) (pid int, up bool, err error) {
	out, _, err := a.launchctl(deadline, "print")
	if missing(err) {
		_, err = a.plist()
		return 0, false, err
	}
	pid = pidOf(string(out))
	return pid, pid != 0, err
}

// pidOf returns the agent's own pid from what print says of it, where blocks of other
// things can have one as well.
func pidOf(printed string) (pid int) {
	depth := 0
	for line := range strings.Lines(printed) {
		line = strings.TrimSpace(line)
		switch value, ok := strings.CutPrefix(line, "pid = "); {
		case strings.HasSuffix(line, "{"):
			depth++
		case line == "}":
			depth--
		case ok && depth == 1:
			pid, _ = strconv.Atoi(value)
		}
	}
	return pid
}
