package slot

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A File is one file of a slot.
type File struct {
	Name string // relative to the slot
	Mode uint32
	Data string
}

// Names in a slot.
const (
	typeFile   = "type"
	runFile    = "run"
	finishFile = "finish"
	downFile   = "down"
	logDir     = "log"
)

// Render returns the files of the slot that d defines. It looks at nothing but
// d: the same definition gives the same bytes.
//
// The rules for what it writes:
//   - Until the drop to the account, every program is named by its absolute
//     path and nothing from --env is in the environment: PATH or LD_PRELOAD
//     would otherwise let the account choose what root runs.
//   - A run script with --env in it is not for the account to read, so it
//     cannot be opened again after the drop; sh hands it over open.
//   - Values come last or quoted, and are never expanded again.
func Render(d *Definition) []File {
	words, err := d.Settings.Words(d.Profile)
	if err != nil {
		panic(err) // Settings.Check was not asked
	}
	scripts := renderSh
	if d.Execline() {
		scripts = renderExecline
	}
	run, finish, log := scripts(d, words)
	runMode := uint32(0o755)
	if len(d.Settings.Env) > 0 {
		runMode = 0o700
	}
	files := []File{
		{typeFile, 0o644, "longrun\n"},
		{runFile, runMode, run},
		{finishFile, 0o755, finish},
		{logDir + "/" + runFile, 0o755, log},
	}
	if d.Down {
		files = append(files, File{downFile, 0o644, ""})
	}
	return files
}

// variables are what run exports before --env, in order.
func (d *Definition) variables() [][2]string {
	port := strconv.Itoa(d.Port)
	vars := [][2]string{
		{"HOME", d.Account.Home},
		{"HERMES_S6_SUPERVISED_CHILD", "1"},
		{"HERMES_SUPERVISED_CHILD", "1"},
		{"HERMES_GATEWAY_PORT", port},
	}
	if d.PortEnv != "" {
		vars = append(vars, [2]string{d.PortEnv, port})
	}
	return vars
}

// user are the variables that --env asked for, in the order of their keys.
func (d *Definition) user() [][2]string {
	var vars [][2]string
	for _, key := range d.Settings.Keys() {
		vars = append(vars, [2]string{key, string(d.Settings.Env[key])})
	}
	return vars
}

// drops tells whether the scripts need to leave root behind. Where the account
// is root itself there is nothing to drop to.
func (d *Definition) drops() bool { return d.Account.UID != 0 }

// venv is where the image has the hermes program.
const venv = "/opt/hermes/.venv/bin"

// logArgs are s6-log's, before the directory: to the container's log as well
// as to ten files of 1 MB, with ISO 8601 time stamps.
const logArgs = "n10 s1000000 T"

func (d *Definition) header(interpreter, what string) string {
	if d.Contenv != "" && !d.Execline() {
		interpreter = d.Contenv + " " + interpreter
	}
	return fmt.Sprintf("#!%s\n# %s of profile %s, written by hermes-s6\n", interpreter, what, d.Profile)
}

const sh = "/bin/sh"

func renderSh(d *Definition, words []string) (run, finish, log string) {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	setuidgid := shWord(d.Paths.Setuidgid) + " " + shWord(d.Account.Name)
	home := `[ -n "${HERMES_HOME:-}" ] || HERMES_HOME=` + shWord(d.Home)

	b.WriteString(d.header(sh, "The gateway"))
	p("exec 2>&1")
	if d.drops() {
		p(`if [ "$(command -p id -u)" -eq 0 ]; then`)
		p(`	# The account may not read this file: it gets it open.`)
		p(`	exec %s %s -c 'script=$(cat) && eval "$script"' run <"$0"`, setuidgid, sh)
		p(`fi`)
	}
	p("exec </dev/null")
	p(`[ ! -d %s ] || export PATH=%[1]s"${PATH:+:$PATH}"`, venv)
	for _, v := range slices.Concat(d.variables(), d.user()) {
		p("export %s=%s", v[0], shWord(v[1]))
	}
	p("%s", home)
	p("export HERMES_HOME")
	p(`cd "$HERMES_HOME" || exit 111`)
	p("exec %s", each(words, shWord))
	run = b.String()

	b.Reset()
	b.WriteString(d.header(sh, "Whether to restart the gateway"))
	p("# $1 is its exit code (256: killed); 125 means no.")
	p("case $1 in 0 | 78) exit 125 ;; esac")
	p("limit=${HERMES_CRASH_LIMIT:-%s}", d.limit())
	p("case $limit in")
	p("0 | 0/*) exit 0 ;;")
	p("*[!0-9/]* | */*/* | /* | */) limit=%s ;;", DefaultCrashLimit)
	p("*/*) ;;")
	p("*) limit=%s ;;", DefaultCrashLimit)
	p("esac")
	p(`exec %s "${limit#*/}" "${limit%%/*}" %s /bin/true`, shWord(d.Paths.Permafailon), crashes)
	finish = b.String()

	b.Reset()
	b.WriteString(d.header(sh, "The log"))
	if d.drops() {
		p(`[ "$(command -p id -u)" -ne 0 ] || exec %s %s "$0"`, setuidgid, sh)
	}
	p("%s", home)
	p(`dir=$HERMES_HOME/logs/gateways/%s`, d.Profile)
	p(`[ -d "$dir" ] || mkdir "$dir"`)
	p("# Another container's, on a file system that keeps locks of the dead.")
	p(`rm -f "$dir/lock"`)
	p(`[ -w "$dir" ] || {`)
	p(`	echo "hermes-s6: cannot write $dir: logging to the container's log only" >&2`)
	p("	exec %s 1", shWord(d.Paths.Log))
	p("}")
	p(`exec %s 1 %s "$dir"`, shWord(d.Paths.Log), logArgs)
	log = b.String()
	return run, finish, log
}

// DefaultCrashLimit counts where HERMES_CRASH_LIMIT is not set or cannot be read.
const DefaultCrashLimit = "10/60"

func (d *Definition) limit() string {
	if d.Deaths == 0 {
		return "0"
	}
	return fmt.Sprintf("%d/%d", d.Deaths, d.Seconds)
}

// crashes are the exit codes that count as deaths for s6-permafailon; those by
// a signal are among them, as 128 plus its number (uplastup_z in
// s6-supervise.c).
const crashes = "1-255"

func renderExecline(d *Definition, words []string) (run, finish, log string) {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	el := func(name string) string { return elWord(d.Paths.Execline + "/" + name) }
	start := func(options, what string) {
		b.Reset()
		b.WriteString(d.header(d.Paths.Execlineb+" "+options, what))
		if d.Contenv != "" {
			p("%s", d.Contenv)
		}
	}
	drop := func() {
		if d.drops() {
			p("%s -s { %s -E uid { /usr/bin/id -u } %s ${uid} -eq 0 } { %s %s } { }", el("ifthenelse"), el("backtick"), el("eltest"),
				elWord(d.Paths.Setuidgid), elWord(d.Account.Name))
		}
	}
	values := append(words[:len(words):len(words)], d.Home)
	for _, v := range slices.Concat(d.variables(), d.user()) {
		values = append(values, v[1])
	}
	home := freshKey("home", values)
	path := freshKey("path", values)

	start("-P", "The gateway")
	p("%s -c 2 1", el("fdmove"))
	p("%s -r 0 /dev/null", el("redirfd"))
	drop()
	p("%s -s { %s -d %s } { %s -D /usr/bin:/bin %s PATH %s PATH %s:${%[5]s} } { }",
		el("ifthenelse"), el("eltest"), venv, el("importas"), path, el("export"), venv)
	for _, v := range slices.Concat(d.variables(), d.user()) {
		p("%s %s %s", el("export"), v[0], elWord(v[1]))
	}
	p("%s -D %s %s HERMES_HOME", el("importas"), elWord(d.Home), home)
	p("%s HERMES_HOME ${%s}", el("export"), home)
	p("%s ${%s}", el("execline-cd"), home)
	p("%s", each(words, elWord))
	run = b.String()

	start("-S1", "Whether to restart the gateway")
	p("# $1 is its exit code (256: killed); 125 means no.")
	p("%s { %s $1 -eq 0 -o $1 -eq 78 } { %s 125 }", el("ifelse"), el("eltest"), el("exit"))
	p("%s -D %s limit HERMES_CRASH_LIMIT", el("importas"), d.limit())
	p("%s -N -- $limit", el("case"))
	p("{")
	p("	^0$ { %s 0 }", el("exit"))
	p("	^([0-9]+)/([0-9]+)$ { %s -i deaths 1 %[1]s -i seconds 2 %s $seconds $deaths %s /bin/true }",
		el("importas"), elWord(d.Paths.Permafailon), crashes)
	p("}")
	deaths, seconds, _ := strings.Cut(DefaultCrashLimit, "/")
	p("%s %s %s %s /bin/true", elWord(d.Paths.Permafailon), seconds, deaths, crashes)
	finish = b.String()

	start("-P", "The log")
	drop()
	p("%s -D %s home HERMES_HOME", el("importas"), elWord(d.Home))
	p("%s dir ${home}/logs/gateways/%s", el("define"), d.Profile)
	p("%s { %s -n { %s -d $dir } { mkdir $dir } }", el("foreground"), el("ifelse"), el("eltest"))
	p("# Another container's, on a file system that keeps locks of the dead.")
	p("%s { rm -f ${dir}/lock }", el("foreground"))
	p("%s { %s -w $dir } { %s 1 %s $dir }", el("ifelse"), el("eltest"), elWord(d.Paths.Log), logArgs)
	p(`%s { %s -c 1 2 echo "hermes-s6: cannot write ${dir}: logging to the container's log only" }`, el("foreground"), el("fdmove"))
	p("%s 1", elWord(d.Paths.Log))
	log = b.String()
	return run, finish, log
}
