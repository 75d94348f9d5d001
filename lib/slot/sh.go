//go:build linux

package slot

import (
	"fmt"
	"slices"
	"strings"
)

// The scripts in sh: what POSIX has, and nothing that dash, bash and busybox
// read differently.

const sh = "/bin/sh"

// A script is one being written, line by line.
type script struct {
	strings.Builder
	*Definition
}

// scriptSize is room for a script that asks for nothing special.
const scriptSize = 1200

func (d *Definition) script(interpreter, title string) *script {
	s := &script{Definition: d}
	s.Grow(scriptSize)
	s.line("#!%s", interpreter)
	s.line("# %s of profile %s, written by hermes-s6", title, d.Profile)
	return s
}

func (s *script) line(format string, args ...any) {
	fmt.Fprintf(s, format, args...)
	s.WriteByte('\n')
}

func (d *Definition) sh(title string) *script {
	interpreter := sh
	if d.Contenv != "" {
		interpreter = d.Contenv + " " + sh
	}
	return d.script(interpreter, title)
}

// shDrop runs the shell with rest, as the account, where we are root.
func (s *script) shDrop(rest string) {
	if s.drops() {
		s.line(`[ "$(command -p id -u)" -ne 0 ] || exec %s %s %s %s`, shWord(s.Paths.Setuidgid), shWord(s.Account.Name), sh, rest)
	}
}

// shHome makes HERMES_HOME what profile.Root has: a value where it has none, and ROOT
// where it is ROOT/profiles/NAME.
func (s *script) shHome() {
	s.line(`[ -n "${HERMES_HOME:-}" ] || HERMES_HOME=%s`, shWord(s.Home))
	s.line("case $HERMES_HOME in */profiles/*)")
	s.line("	case ${HERMES_HOME##*/profiles/} in")
	s.line("	'' | [!a-z0-9]* | *[!a-z0-9_/-]* | */[!/]*) ;;")
	s.line(`	*) HERMES_HOME=${HERMES_HOME%%/profiles/*}; : "${HERMES_HOME:=/}" ;;`)
	s.line("	esac ;;")
	s.line("esac")
}

func shRun(d *Definition, words []string) string {
	s := d.sh(runTitle)
	s.line("exec 2>&1")
	if d.drops() {
		s.line("# The account may not read this file: it gets it open.")
	}
	s.shDrop(`-c 'script=$(cat) && eval "$script"' run <"$0"`)
	s.line("exec </dev/null")
	s.line(`[ ! -d %s ] || export PATH="%[1]s:${PATH:-%s}"`, venv, basePath)
	for _, v := range slices.Concat(d.variables(), d.user()) {
		s.line("export %s=%s", v[0], shWord(v[1]))
	}
	s.shHome()
	s.line("export HERMES_HOME")
	s.line(`cd "$HERMES_HOME" || exit 111`)
	s.line("exec %s", each(words, shWord))
	return s.String()
}

func shFinish(d *Definition) string {
	s := d.sh(finishTitle)
	s.line("# $1 is its exit code (256: killed); 125 means no.")
	s.line("case $1 in 0 | 78) exit 125 ;; esac")
	s.line("limit=${HERMES_CRASH_LIMIT:-%s}", d.limit())
	s.line("case $limit in")
	s.line("0 | 0/*) exit 0 ;;")
	s.line("*[!0-9/]* | */*/* | /* | */) limit=%s ;;", DefaultCrashLimit)
	s.line("*/*) ;;")
	s.line("*) limit=%s ;;", DefaultCrashLimit)
	s.line("esac")
	s.line("deaths=${limit%%/*}")
	s.line("# s6-supervise remembers no more.")
	s.line(`[ "$deaths" -le %d ] || deaths=%[1]d`, maxDeaths)
	s.line(`exec %s "${limit#*/}" "$deaths" %s /bin/true`, shWord(d.Paths.Permafailon), crashes)
	return s.String()
}

func shLog(d *Definition) string {
	s := d.sh(logTitle)
	s.shDrop(`"$0"`)
	s.shHome()
	s.line(`dir=$HERMES_HOME/logs/gateways/%s`, d.Profile)
	s.line(`[ -d "$dir" ] || mkdir "$dir"`)
	s.line("# Another container's, on a file system that keeps locks of the dead.")
	s.line(`rm -f "$dir/lock"`)
	s.line(`[ -w "$dir" ] || {`)
	s.line(`	echo "hermes-s6: cannot write $dir: logging to the container's log only" >&2`)
	s.line("	exec %s 1", shWord(d.Paths.Log))
	s.line("}")
	s.line(`exec %s 1 %s "$dir"`, shWord(d.Paths.Log), logArgs)
	return s.String()
}
