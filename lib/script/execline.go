//go:build linux

package script

import (
	"slices"
	"strings"
)

// The scripts in execline. Each is one command line of programs that do one thing and then
// execute into the rest.

// el returns the word for execline's program name.
func (s *script) el(name string) string { return elWord(s.Paths.Execline + "/" + name) }

func (d *Definition) execline(options, title string) *script {
	s := d.script(d.Paths.Execlineb+" "+options, title)
	if d.Contenv != "" {
		s.line("%s", d.Contenv)
	}
	return s
}

// elDrop runs the rest as the account if we are root.
func (s *script) elDrop() {
	if s.Drops() {
		s.line("%s -s { %s -E uid { /usr/bin/id -u } %s ${uid} -eq 0 } { %s %s } { }", s.el("ifthenelse"), s.el("backtick"), s.el("eltest"),
			elWord(s.Paths.Setuidgid), elWord(s.Account.Name))
	}
}

// elDefault substitutes the value of variable, or fallback if it is unset or empty, for key.
func (s *script) elDefault(key, variable, fallback string) {
	s.line(`%s -s { %s -D "" v %s %s x${v} = x } { %s %[3]s } { }`, s.el("ifthenelse"), s.el("importas"), variable, s.el("eltest"), s.el("unexport"))
	s.line("%s -D %s %s %s", s.el("importas"), elWord(fallback), key, variable)
}

// elHome substitutes for key what profile.Root makes of HERMES_HOME: d.Home if it is unset or
// empty, and ROOT if it is ROOT/profiles/NAME.
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
	fence := freshKey("fence", values)

	s := d.execline("-P", runTitle)
	s.line("%s -c 2 1", s.el("fdmove"))
	s.line("%s -r 0 /dev/null", s.el("redirfd"))
	s.elDrop()
	if d.scrubbed() {
		s.line("%s -c %s run", sh, elWord(scrub+"\n"+`exec "$@"`))
	}
	s.line("%s -D \"\" %s { %s -c %s }", s.el("backtick"), FenceVariable, sh,
		elWord(findFence+"\nprintf %s \"${fence:+$fence "+d.fence()+"}\""))
	s.line("%s -s { %s -d %s } { %s -D %s %s PATH %s PATH %s:${%[6]s} } { }",
		s.el("ifthenelse"), s.el("eltest"), venv, s.el("importas"), basePath, path, s.el("export"), venv)
	for _, v := range slices.Concat(d.variables(), d.user()) {
		s.line("%s %s %s", s.el("export"), v[0], elWord(v[1]))
	}
	s.elHome(home)
	s.line("%s HERMES_HOME ${%s}", s.el("export"), home)
	s.line("%s ${%s}", s.el("execline-cd"), home)
	s.line("# The fence is several words, or none.")
	s.line("%s -s %s %s", s.el("importas"), fence, FenceVariable)
	s.line("${%s} %s", fence, each(words, elWord))
	return s.String()
}

func elFinish(d *Definition) string {
	s := d.execline("-S2", finishTitle)
	s.line("# $1 is its exit code (256: killed, by signal $2); 125 means no.")
	s.line("%s { %s $1 -eq 0 -o $1 -eq %d } { %s 125 }", s.el("ifelse"), s.el("eltest"), ExitConfig, s.el("exit"))
	s.line("# Asked for: no death.")
	s.line("%s { %s $1 -eq %d -o $1 -eq %d -o $1$2 -eq 25615 } { %s 0 }", s.el("ifelse"), s.el("eltest"), ExitRestart, exitTerm, s.el("exit"))
	s.elLimit()
	s.elBackOff()
	return s.String()
}

// elLimit exits 125 if the gateway has died too often.
func (s *script) elLimit() {
	permafailon := elWord(s.Paths.Permafailon)
	deaths, seconds, _ := strings.Cut(DefaultCrashLimit, "/")
	byDefault := strings.Join([]string{permafailon, seconds, deaths, crashes, "/bin/true"}, " ")
	s.elDefault("limit", "HERMES_CRASH_LIMIT", s.limit())
	s.line("%s", s.el("foreground"))
	s.line("{")
	s.line("	# For a regular expression, each line of several has a beginning and an end.")
	s.line(`	%s -s -- $limit { "*\n*" { %s } }`, s.el("case"), byDefault)
	s.line("	%s -N -- $limit", s.el("case"))
	s.line("	{")
	s.line("		^0$ { %s 0 }", s.el("exit"))
	s.line("		^0*([1-9][0-9]?|%d)/0*([1-9][0-9]{0,%d})$ { %s -i deaths 1 %[3]s -i seconds 2 %s $seconds $deaths %s /bin/true }",
		maxDeaths, maxSecondsDigits-1, s.el("importas"), permafailon, crashes)
	s.line("	}")
	s.line("	%s", byDefault)
	s.line("}")
	s.line("%s -i failed ?", s.el("importas"))
	s.line("%s { %s $failed -eq 125 } { %s 125 }", s.el("ifelse"), s.el("eltest"), s.el("exit"))
}

// elBackOff waits until the gateway is to start again, or its supervisor has received a command.
func (s *script) elBackOff() {
	s.line("# The supervisor renames a new status into place for each command. With the old")
	s.line("# one held open, that it is another is certain.")
	s.line("%s -r 3 supervise/status", s.el("redirfd"))
	s.line("%s -E -P ppid", s.el("getpid"))
	s.line("%s -D unknown -E state { %s -o up,wantedup . }", s.el("backtick"), elWord(s.Paths.Svstat))
	s.line("# It may have yet to say that the gateway has ended, unless it has ended itself.")
	s.line("%s { %s $state = \"true true\" -o $state = \"true false\" }", s.el("ifelse"), s.el("eltest"))
	s.line("{")
	s.line("	%s { %s %s } { %s { /bin/sleep 1 } ./finish $1 $2 }", s.el("ifelse"), s.el("eltest"), sameParent("${ppid}"), s.el("foreground"))
	s.line("	%s 0", s.el("exit"))
	s.line("}")
	s.line("%s { %s $state != \"false true\" } { %s 0 }", s.el("ifelse"), s.el("eltest"), s.el("exit"))
	s.line("# Twice in that long or less: it did not live for %d seconds.", steady)
	s.line("%s -D none -E last { %s { %s -e %s } { /bin/cat %[4]s } }", s.el("backtick"), s.el("ifelse"), s.el("eltest"), backOffFile)
	s.line("%s -D 1 -E next", s.el("backtick"))
	s.line("{")
	s.line("	%s -N -- $last", s.el("case"))
	s.line("	{")
	for i, last := range backOffs {
		next := backOffs[min(i+1, len(backOffs)-1)]
		s.line("		^%d$ { %s { %s -w 2 /dev/null %s %d 2 %s /bin/true } { /bin/echo 1 } /bin/echo %d }",
			last, s.el("ifelse"), s.el("redirfd"), elWord(s.Paths.Permafailon), last+steady, crashes, next)
	}
	s.line("	}")
	s.line("	/bin/echo 1")
	s.line("}")
	s.line("%s 022", s.el("umask"))
	s.line("%s { %s -w 1 %s /bin/echo $next }", s.el("foreground"), s.el("redirfd"), backOffFile)
	seconds := make([]int, backOffs[len(backOffs)-1]-1)
	for i := range seconds {
		seconds[i] = i + 2 // the supervisor itself waits for one second
	}
	s.line("# A supervisor that is told to exit lets go of its stdout.")
	s.line("%s", s.el("foreground"))
	s.line("{")
	s.line("	%s -E -x 1,2 i { %s }", s.el("forx"), joined(seconds, " "))
	s.line("	%s { %s $i -gt $next } { %s 1 }", s.el("ifelse"), s.el("eltest"), s.el("exit"))
	s.line("	%s { /bin/sleep 1 }", s.el("foreground"))
	s.line("	%s -n { %s %s -a %s } { %s 2 }", s.el("ifelse"), s.el("eltest"), sameStatus, sameParent("${ppid}"), s.el("exit"))
	s.line("	%s 0", s.el("exit"))
	s.line("}")
	s.line("%s -i waited ?", s.el("importas"))
	s.line("%s { %s $waited -eq 2 } { %s -w 1 %s %s 0 }", s.el("ifelse"), s.el("eltest"), s.el("redirfd"), backOffFile, s.el("exit"))
	s.line("%s 0", s.el("exit"))
}

func elLog(d *Definition) string {
	s := d.execline("-P", logTitle)
	s.elDrop()
	s.elHome("home")
	s.line("%s dir ${home}/logs/gateways/%s", s.el("define"), d.Profile)
	s.line("%s { %s -n { %s -d $dir } { mkdir $dir } }", s.el("foreground"), s.el("ifelse"), s.el("eltest"))
	s.line(`%s -E name { %s -D "" v %s %s { %s x${v} = x0 } { echo } echo %s: }`, s.el("backtick"), s.el("importas"), prefixVariable,
		s.el("ifelse"), s.el("eltest"), d.Profile)
	s.line("# While another slot's gateway runs, the directory is its logger's.")
	s.line("%s { %s -w 1 /dev/null %s -c 2 1 %s HERMES_HOME $home %[4]s %s %s %s --holder %s } { %s p${name} 1 }", s.el("ifelse"), s.el("redirfd"), s.el("fdmove"),
		s.el("export"), SlotVariable, elWord(d.slot()), fenceProgram, d.Profile, elWord(d.Paths.Log))
	s.line("# Else nobody writes there: the lock is another's who has nothing to log, or a dead one's.")
	s.line("%s { rm -f ${dir}/lock }", s.el("foreground"))
	s.line("%s { %s -w $dir } { %s p${name} 1 p %s $dir }", s.el("ifelse"), s.el("eltest"), elWord(d.Paths.Log), logArgs)
	s.line(`%s { %s -c 1 2 echo "hermes-s6: cannot write ${dir}: logging to the container's log only" }`, s.el("foreground"), s.el("fdmove"))
	s.line("%s p${name} 1", elWord(d.Paths.Log))
	return s.String()
}
