//go:build linux

package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/s6"
)

// This file is about gateways that die: which ends are deaths, how many are too many, and how
// long finish waits before the next start. The rules are written three times, here and in the
// finish scripts of both dialects. TestCrashLimit and TestFinish keep them consistent.

// crashes are the exit codes that count as deaths, for s6-permafailon. They include deaths by
// a signal, as 128 plus its number (uplastup_z in s6-supervise.c). They exclude what was asked
// for: 0 and 78 end a gateway for good, with 75 a gateway asks to be restarted, and SIGTERM is
// what s6-svc -d, -t and -r send, and what shuts a container down. A gateway that answers
// SIGTERM with another exit code cannot be distinguished from one that crashed at that moment.
const crashes = "1-74,76-77,79-142,144-255"

// What a gateway says by its exit code (sysexits.h).
const (
	ExitConfig  = 78 // its configuration cannot work
	ExitRestart = 75 // it asks to be restarted
	exitTerm    = 128 + 15
)

// IsCrash reports whether an end with code, an exit code or 128 plus a signal's number, is a
// death that counts.
func IsCrash(code int) bool {
	return !slices.Contains([]int{0, ExitRestart, ExitConfig, exitTerm}, code)
}

// DefaultCrashLimit applies if HERMES_CRASH_LIMIT is not set or invalid. With the waits below,
// a gateway that does nothing but die reaches it in three quarters of an hour.
const DefaultCrashLimit = "50/3600"

// maxDeaths is how many deaths s6-supervise remembers (max-death-tally in servicedir's manual
// page).
const maxDeaths = 100

// maxSecondsDigits is the number of digits that always fit into an unsigned int, which is what
// s6-permafailon reads.
const maxSecondsDigits = 9

// ParseCrashLimit parses HERMES_CRASH_LIMIT: 0, or DEATHS/SECONDS in decimal digits, neither
// of them 0.
func ParseCrashLimit(s string) (deaths, seconds int, err error) {
	if s == "0" {
		return 0, 0, nil
	}
	a, b, _ := strings.Cut(s, "/")
	deaths, seconds = positive(a), positive(b)
	if deaths == 0 || deaths > maxDeaths || seconds == 0 {
		return 0, 0, fail.Errorf(fail.Usage, "invalid crash limit %q: must be DEATHS/SECONDS, with 1 to %d deaths and at most %d digits of seconds, or 0", s, maxDeaths, maxSecondsDigits)
	}
	return deaths, seconds, nil
}

// positive parses a number of at most maxSecondsDigits digits after leading zeros. It returns
// 0 for anything else. (strconv.Atoi accepts a sign.)
func positive(s string) int {
	s = strings.TrimLeft(s, "0")
	if len(s) > maxSecondsDigits || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, _ := strconv.Atoi(s)
	return n
}

func (d *Definition) limit() string {
	if d.Deaths == 0 {
		return "0"
	}
	return fmt.Sprintf("%d/%d", d.Deaths, d.Seconds)
}

// backOffs are the seconds from a death to the next start, one after the other, for a gateway
// that dies within steady seconds of each start. After a longer life they begin again.
var backOffs = []int{1, 2, 4, 8, 16, 32, 60}

const steady = 60

// finishTimeout is when s6-supervise kills finish, in milliseconds. It is longer than any wait.
const finishTimeout = "70000"

// backOffFile is where finish keeps the seconds that it chose last: among s6-supervise's own
// files, because they are removed together. It is empty if finish chose none.
const backOffFile = "supervise/backoff"

// NextStart returns in how many seconds the gateway of service, whose status is st, starts
// again, or 0 if it is not waiting to start.
func NextStart(service s6.Service, st *s6.Status) int {
	if !st.Supervised || !st.Finishing || !st.WantedUp {
		return 0
	}
	var buf [8]byte
	text, err := service.In.ReadHead(service.Name+"/"+backOffFile, buf[:])
	wait, e := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
	if err != nil || e != nil || !slices.Contains(backOffs, wait) {
		return 0
	}
	left := time.Duration(wait)*time.Second - st.Now.Time().Sub(st.Since.Time())
	return max(1, int((left+time.Second-1)/time.Second))
}

// sameStatus tests that the status is still the one that finish has open.
const sameStatus = "supervise/status -ef /proc/self/fd/3"

// sameParent tests that the supervisor, whose pid is ppid, exists and is not exiting: its
// stdout is still ours.
func sameParent(ppid string) string { return "/proc/" + ppid + "/fd/1 -ef /proc/self/fd/1" }

func joined(numbers []int, with string) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, with)
}
