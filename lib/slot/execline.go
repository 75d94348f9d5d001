//go:build linux

package slot

import (
	"slices"
	"strings"
)

// The scripts in execline: one command line each, of programs that do one thing
// and then execute into the rest.

// el returns the word for execline's program name.
func (s *script) el(name string) string { return elWord(s.Paths.Execline + "/" + name) }

func (d *Definition) execline(options, title string) *script {
	s := d.script(d.Paths.Execlineb+" "+options, title)
	if d.Contenv != "" {
		s.line("%s", d.Contenv)
	}
	return s
}

// elDrop runs the rest as the account where we are root.
func (s *script) elDrop() {
	if s.drops() {
		s.line("%s -s { %s -E uid { /usr/bin/id -u } %s ${uid} -eq 0 } { %s %s } { }", s.el("ifthenelse"), s.el("backtick"), s.el("eltest"),
			elWord(s.Paths.Setuidgid), elWord(s.Account.Name))
	}
}

// elDefault substitutes the value of variable, or fallback where it is unset or
// empty, for key.
func (s *script) elDefault(key, variable, fallback string) {
	s.line(`%s -s { %s -D "" v %s %s x${v} = x } { %s %[3]s } { }`, s.el("ifthenelse"), s.el("importas"), variable, s.el("eltest"), s.el("unexport"))
	s.line("%s -D %s %s %s", s.el("importas"), elWord(fallback), key, variable)
}

// elHome substitutes for key what profile.Root makes of HERMES_HOME: d.Home where it has
// no value, and ROOT where it is ROOT/profiles/NAME.
func (s *script) elHome(key string) {
	s.line(`%s -s { %s -D "" v HERMES_HOME %s -N -- ${v} { ^.*/profiles/[a-z0-9][a-z0-9_-]*/*$ { %s 0 } } %[4]s 1 } { %s HERMES_HOME { %[2]s v HERMES_HOME %[5]s -E parent { dirname -- ${v} } dirname -- ${parent} } } { }`,
		s.el("ifthenelse"), s.el("importas"), s.el("case"), s.el("exit"), s.el("backtick"))
	s.elDefault(key, "HERMES_HOME", s.Home)
}

func elRun(d *Definition, words []string) string {
	values := append(words[:len(words):len(words)], d.Home)
	for _, v := range slices.Concat(d.variables(), d.user()) {
		values = append(values, v[1])
	}
	home := freshKey("home", values)
	path := freshKey("path", values)

	s := d.execline("-P", runTitle)
	s.line("%s -c 2 1", s.el("fdmove"))
	s.line("%s -r 0 /dev/null", s.el("redirfd"))
	s.elDrop()
	s.line("%s -s { %s -d %s } { %s -D %s %s PATH %s PATH %s:${%[6]s} } { }",
		s.el("ifthenelse"), s.el("eltest"), venv, s.el("importas"), basePath, path, s.el("export"), venv)
	for _, v := range slices.Concat(d.variables(), d.user()) {
		s.line("%s %s %s", s.el("export"), v[0], elWord(v[1]))
	}
	s.elHome(home)
	s.line("%s HERMES_HOME ${%s}", s.el("export"), home)
	s.line("%s ${%s}", s.el("execline-cd"), home)
	s.line("%s", each(words, elWord))
	return s.String()
}

func elFinish(d *Definition) string {
	s := d.execline("-S1", finishTitle)
	s.line("# $1 is its exit code (256: killed); 125 means no.")
	s.line("%s { %s $1 -eq 0 -o $1 -eq 78 } { %s 125 }", s.el("ifelse"), s.el("eltest"), s.el("exit"))
	s.elDefault("limit", "HERMES_CRASH_LIMIT", d.limit())
	s.line("%s -N -- $limit", s.el("case"))
	s.line("{")
	s.line("	^0(/.*)?$ { %s 0 }", s.el("exit"))
	s.line("	^([0-9][0-9]?|100)/([0-9]+)$ { %s -i deaths 1 %[1]s -i seconds 2 %s $seconds $deaths %s /bin/true }",
		s.el("importas"), elWord(d.Paths.Permafailon), crashes)
	s.line("	# s6-supervise remembers no more than %d.", maxDeaths)
	s.line("	^[0-9]+/([0-9]+)$ { %s -i seconds 1 %s $seconds %d %s /bin/true }",
		s.el("importas"), elWord(d.Paths.Permafailon), maxDeaths, crashes)
	s.line("}")
	deaths, seconds, _ := strings.Cut(DefaultCrashLimit, "/")
	s.line("%s %s %s %s /bin/true", elWord(d.Paths.Permafailon), seconds, deaths, crashes)
	return s.String()
}

func elLog(d *Definition) string {
	s := d.execline("-P", logTitle)
	s.elDrop()
	s.elHome("home")
	s.line("%s dir ${home}/logs/gateways/%s", s.el("define"), d.Profile)
	s.line("%s { %s -n { %s -d $dir } { mkdir $dir } }", s.el("foreground"), s.el("ifelse"), s.el("eltest"))
	s.line("# Another container's, on a file system that keeps locks of the dead.")
	s.line("%s { rm -f ${dir}/lock }", s.el("foreground"))
	s.line("%s { %s -w $dir } { %s 1 %s $dir }", s.el("ifelse"), s.el("eltest"), elWord(d.Paths.Log), logArgs)
	s.line(`%s { %s -c 1 2 echo "hermes-s6: cannot write ${dir}: logging to the container's log only" }`, s.el("foreground"), s.el("fdmove"))
	s.line("%s 1", elWord(d.Paths.Log))
	return s.String()
}
