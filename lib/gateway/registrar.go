//go:build linux

package gateway

// This file asks root for a slot on behalf of an account that may not make one. It uses
// s6-sudo and the service in rootfs/etc/s6-overlay/s6-rc.d/registrar. It knows how to ask and
// how to read the answer. Only hermes-registrar declares what root can be asked for.

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/s6"
)

// RegistrarSocket is the default path of the service's socket.
const RegistrarSocket = "/run/hermes/registrar"

// What the service can be asked for.
const (
	AskRegister   = "register"
	AskUnregister = "unregister"
)

// A Registrar asks the service that listens at Socket.
type Registrar struct {
	Socket   string
	Programs s6.Programs
	// Refused says why the service cannot be asked: it works on its own scan directory and
	// home and for its own account, and would do so even if the caller means others.
	Refused error
}

// An Answer is what the service did.
type Answer struct {
	Stdout   []byte
	Warnings []error // without the program's name
}

// connectLimit is how long the service may take to accept a connection, in milliseconds. How
// long it works depends on the request.
const connectLimit = "5000"

// Ask has the service run verb with args. An error carries its exit code, if that is one of
// ours and not 0, and its last message.
func (c *Registrar) Ask(verb string, args ...string) (Answer, error) {
	if c.Refused != nil {
		return Answer{}, c.Refused
	}
	if _, err := os.Stat(c.Socket); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New(c.Socket + " does not exist")
		}
		return Answer{}, unreachable(err)
	}
	path, err := c.Programs.Path("s6-sudo")
	if err != nil {
		return Answer{}, err
	}
	// -e: nothing of our environment is for root.
	cmd := exec.Command(path, append([]string{"-e", "-t", connectLimit, "--", c.Socket, verb}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	answer := Answer{Stdout: stdout.Bytes()}
	last, hint := answer.listen(stderr.String())
	var exit *exec.ExitError
	switch {
	case err == nil:
		return answer, nil
	case !errors.As(err, &exit) || exit.ExitCode() < 0:
		return answer, fail.Errorf(fail.Program, "s6-sudo: %w", err)
	case strings.HasPrefix(last, "unable to connect to "+c.Socket): // the words of s6-ipcclient
		return answer, unreachable(errors.New(last))
	case strings.Contains(last, "unable to connect to the s6-sudod server"): // the words of s6-sudoc
		return answer, fail.Errorf(fail.System, "registrar: connection refused: it serves root and the account's group, 30 connections at once")
	case last == "":
		last = "registrar: exit code " + strconv.Itoa(exit.ExitCode())
	}
	code := fail.Code(exit.ExitCode())
	if !code.Known() {
		code = fail.Program
	}
	err = fail.Errorf(code, "%s", last)
	if hint != "" {
		err = fail.Hint(err, "%s", hint)
	}
	return answer, err
}

// listen collects the warnings from what the program printed. It returns the last other
// message and the hint that follows it.
func (a *Answer) listen(said string) (last, hint string) {
	warned := false
	for line := range strings.Lines(said) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		level, rest, _ := strings.Cut(text, ": ")
		switch {
		case text == "":
		case level == "warning":
			warned = true
			a.Warnings = append(a.Warnings, errors.New(rest))
		case level == "hint" && warned:
			w := &a.Warnings[len(a.Warnings)-1]
			*w = fail.Hint(*w, "%s", rest)
		case level == "hint":
			hint = rest
		default:
			warned, hint = false, ""
			last = strings.TrimPrefix(text, "fatal: ")
		}
	}
	return last, hint
}

// unreachable returns the error for a service that does not answer.
func unreachable(why error) error {
	return fail.Hint(fail.Errorf(fail.System, "only root may do that, and no registrar answers: %w", why),
		"run the command as root, or start the registrar service")
}
