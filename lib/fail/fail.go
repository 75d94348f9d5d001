// Package fail knows the exit codes of the suite and attaches one to an error. Package cli
// knows how an error is printed. The function that finds the cause chooses the code.
package fail

import (
	"errors"
	"fmt"
	"syscall"
)

// A Code is the exit code of a process. The numbers are s6's own if s6 has one: 99
// (s6-svwait), 100, 111 and 127 (skalibs' strerr).
type Code int

const (
	OK          Code = 0
	No          Code = 1   // the answer is no, or some of several items failed
	Timeout     Code = 99  // timed out
	Usage       Code = 100 // wrong usage, including invalid names and keys
	Exists      Code = 101 // already registered
	Absent      Code = 102 // no such gateway
	Unsupported Code = 103 // this service manager cannot do that, or none was found
	Program     Code = 110 // an s6 program failed
	System      Code = 111 // a system call failed
	NotFound    Code = 127 // a required program is missing
)

// Help describes them in --help.
const Help = `exit codes: 0 success or yes, 1 no or some failed, 99 timed out, 100 wrong usage,
101 already registered, 102 no such gateway, 103 not supported by this service manager,
110 an s6 program failed, 111 a system call failed, 127 a program is missing
`

// Known reports whether c is one of ours, and not, for example, the code of a killed process.
func (c Code) Known() bool {
	switch c {
	case OK, No, Timeout, Usage, Exists, Absent, Unsupported, Program, System, NotFound:
		return true
	}
	return false
}

type coded struct {
	error
	code Code
}

func (e coded) Unwrap() error { return e.error }

// Errorf returns an error of the form "WHAT: WHY" that makes the process exit with code. It
// wraps as fmt.Errorf does.
func Errorf(code Code, format string, args ...any) error {
	return coded{fmt.Errorf(format, args...), code}
}

type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// Hint returns err with a hint that says what to do about it. The hint is not part of its text.
func Hint(err error, format string, args ...any) error {
	return hinted{err, fmt.Sprintf(format, args...)}
}

// HintOf returns the outermost Hint of err, "" if there is none.
func HintOf(err error) string {
	var h hinted
	errors.As(err, &h)
	return h.hint
}

// CodeOf returns the outermost code of err: OK for nil, System for an error without one,
// because such an error comes from the kernel.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	var c coded
	if errors.As(err, &c) {
		return c.code
	}
	return System
}

// Unread reports whether err, from reading a file, says nothing about the file's content: the
// kernel could not read it. It returns false if the file itself is unusable, such as a link or
// a text that cannot be parsed.
func Unread(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP, syscall.EXDEV, syscall.ENXIO, syscall.ENODEV:
		return false
	}
	return true
}

// Scarce reports whether err says that the system has run out of something: descriptors,
// memory, processes. It says nothing about what was to be opened or run.
func Scarce(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
