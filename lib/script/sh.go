//go:build linux

package script

import (
	"fmt"
	"slices"
	"strings"
)

// The scripts in sh. They use only POSIX features, and none that dash, bash and busybox read
// differently.

const sh = "/bin/sh"

// A script is a script being written, line by line.
type script struct {
	strings.Builder
	*Definition
}

// scriptSize has room for a script that asks for nothing special.
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

// shDrop runs the shell with rest, as the account if we are root.
func (s *script) shDrop(rest string) {
	if s.Drops() {
		s.line(`[ "$(command -p id -u)" -ne 0 ] || exec %s %s %s %s`, shWord(s.Paths.Setuidgid), shWord(s.Account.Name), sh, rest)
	}
}

// shHome makes HERMES_HOME what profile.Root makes of it: the default if it is unset or empty,
// and ROOT if it is ROOT/profiles/NAME.
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
	if d.Drops() {
		s.line("# The account may not read this file: it gets it open.")
	}
	s.shDrop(`-c 'script=$(cat) && eval "$script"' run <"$0"`)
	s.line("exec </dev/null")
	if d.scrubbed() {
		s.line("%s", scrub)
	}
	s.line("%s", findFence)
	s.line(`export %s="${fence:+$fence %s}"`, FenceVariable, d.fence())
	s.line("# Several words, or none. Before --env can change what is between two.")
	s.line(`set -- ${fence:+"$fence" %s}`, d.fence())
	s.line(`[ ! -d %s ] || export PATH="%[1]s:${PATH:-%s}"`, venv, basePath)
	for _, v := range slices.Concat(d.variables(), d.user()) {
		s.line("export %s=%s", v[0], shWord(v[1]))
	}
	s.shHome()
	s.line("export HERMES_HOME")
	s.line(`cd "$HERMES_HOME" || exit 111`)
	s.line(`exec "$@" %s`, each(words, shWord))
	return s.String()
}

func shFinish(d *Definition) string {
	s := d.sh(finishTitle)
	s.line("# $1 is its exit code (256: killed, by signal $2); 125 means no.")
	s.line("case $1/$2 in")
	s.line("0/* | %d/*) exit 125 ;;", ExitConfig)
	s.line("%d/* | %d/* | 256/15) exit 0 ;; # asked for: no death", ExitRestart, exitTerm)
	s.line("esac")
	s.shLimit()
	s.shBackOff()
	return s.String()
}

// shLimit exits 125 if the gateway has died too often. Digits are listed one by one, because
// what a range contains depends on the locale.
func (s *script) shLimit() {
	deaths, seconds, _ := strings.Cut(DefaultCrashLimit, "/")
	s.line("limit=${HERMES_CRASH_LIMIT:-%s}", s.limit())
	s.line("deaths=${limit%%%%/*} seconds=${limit#*/}")
	s.line(`deaths=${deaths#"${deaths%%%%[!0]*}"}`)
	s.line(`seconds=${seconds#"${seconds%%%%[!0]*}"}`)
	s.line("case $limit/$deaths in")
	s.line("*/*/[123456789] | */*/[123456789][0123456789] | */*/%d) ;;", maxDeaths)
	s.line("*) seconds= ;;")
	s.line("esac")
	s.line("case $seconds in '' | %s* | *[!0123456789]*) deaths=%s seconds=%s ;; esac", strings.Repeat("?", maxSecondsDigits+1), deaths, seconds)
	s.line(`[ "$limit" = 0 ] || %s "$seconds" "$deaths" %s /bin/true`, shWord(s.Paths.Permafailon), crashes)
	s.line("case $? in 125) exit 125 ;; esac")
}

// shBackOff waits until the gateway is to start again, or its supervisor has received a command.
func (s *script) shBackOff() {
	longest := backOffs[len(backOffs)-1]
	s.line("# The supervisor renames a new status into place for each command. With the old")
	s.line("# one held open, that it is another is certain.")
	s.line("exec 3<supervise/status")
	s.line("case $(%s -o up,wantedup .) in", shWord(s.Paths.Svstat))
	s.line("'false true') ;;")
	s.line("'true '*) # it has yet to say that the gateway has ended, unless it has ended itself")
	s.line("	[ %s ] || exit 0", sameParent("$PPID"))
	s.line("	/bin/sleep 1")
	s.line(`	exec ./finish "$@"`)
	s.line("	;;")
	s.line("*) exit 0 ;;")
	s.line("esac")
	s.line("next=1 last=")
	s.line("[ ! -e %s ] || read -r last <%[1]s", backOffFile)
	s.line("case $last in %s)", joined(backOffs, " | "))
	s.line("	# That long ago or less, and twice: it did not live for %d seconds.", steady)
	s.line(`	%s "$((last + %d))" 2 %s /bin/true 2>/dev/null || next=$((last * 2))`, shWord(s.Paths.Permafailon), steady, crashes)
	s.line(`	[ "$next" -le %d ] || next=%[1]d`, longest)
	s.line("	;;")
	s.line("esac")
	s.line("umask 022")
	s.line(`echo "$next" >%s`, backOffFile)
	s.line("waited=1 # as long as the supervisor itself does")
	s.line(`while [ "$waited" -lt "$next" ]; do`)
	s.line("	/bin/sleep 1")
	s.line("	waited=$((waited + 1))")
	s.line("	# A supervisor that is told to exit lets go of its stdout.")
	s.line("	if ! [ %s ] || ! [ %s ]; then", sameStatus, sameParent("$PPID"))
	s.line("		: >%s", backOffFile)
	s.line("		exit 0")
	s.line("	fi")
	s.line("done")
}

func shLog(d *Definition) string {
	s := d.sh(logTitle)
	s.shDrop(`"$0"`)
	s.shHome()
	s.line(`dir=$HERMES_HOME/logs/gateways/%s`, d.Profile)
	s.line(`[ -d "$dir" ] || mkdir "$dir"`)
	s.line(`[ "${%s:-}" = 0 ] && name= || name=%s:`, prefixVariable, d.Profile)
	s.line("# While another slot's gateway runs, the directory is its logger's.")
	s.line(`HERMES_HOME=$HERMES_HOME %s=%s %s --holder %s >/dev/null 2>&1 && exec %s "p$name" 1`,
		SlotVariable, shWord(d.slot()), fenceProgram, d.Profile, shWord(d.Paths.Log))
	s.line("# Else nobody writes there: the lock is another's who has nothing to log, or a dead one's.")
	s.line("# In some sandboxes test -w says no to everybody: then we make it anew.")
	s.line(`if ! rm -f "$dir/lock" 2>/dev/null || ! { [ -w "$dir" ] || (: >"$dir/lock") 2>/dev/null; }; then`)
	s.line(`	echo "hermes-s6: cannot write $dir: logging to the container's log only" >&2`)
	s.line(`	exec %s "p$name" 1`, shWord(d.Paths.Log))
	s.line("fi")
	s.line(`exec %s "p$name" 1 p %s "$dir"`, shWord(d.Paths.Log), logArgs)
	return s.String()
}
