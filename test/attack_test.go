//go:build linux

package test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// An attack is what a compromised account tries. Its script runs as the account, and exit code
// 0 means success. refusal is a pattern for the message of what repels it, by default the
// kernel's. Without that message the attack has failed for reasons of its own.
type attack struct{ name, script, refusal string }

const denied = `: (Permission denied|Operation not permitted)\n$`

// attacks are attempts on what root executes, or writes through.
var attacks = []attack{
	{"a service of its own", `d=/run/service/evil; mkdir $d && printf '#!/bin/sh\nid -u >/run/pwned\nexec sleep 1000000\n' >$d/run && chmod 755 $d/run && /command/s6-svscanctl -a /run/service`, ""},
	{"a file in the scan directory", `touch /run/service/x`, ""},
	{"a hold of its own", `mkdir /run/service/.gateway-coder`, ""},
	{"run", `echo id >>/run/service/gateway-coder/run`, ""},
	{"run, replaced", `cd /run/service/gateway-coder && cp run /tmp/run.$$ && mv -f /tmp/run.$$ run`, ""},
	{"finish", `echo id >>/run/service/gateway-coder/finish`, ""},
	{"log/run", `echo id >>/run/service/gateway-coder/log/run`, ""},
	{"type", `echo bundle >/run/service/gateway-coder/type`, ""},
	{"down", `touch /run/service/gateway-coder/down`, ""},
	{"a file in a slot", `touch /run/service/gateway-coder/timeout-kill`, ""},
	{"permissions of a slot", `chmod 777 /run/service/gateway-coder`, ""},
	{"supervise", `touch /run/service/gateway-coder/supervise/x`, ""},
	{"supervise/status", `: >/run/service/gateway-coder/supervise/status`, ""},
	{"a link for supervise/status.new", `ln -s /etc/passwd /run/service/gateway-coder/supervise/status.new`, ""},
	{"a link for death_tally", `ln -sf /etc/passwd /run/service/gateway-coder/supervise/death_tally`, ""},
	{"supervise/lock", `rm -f /run/service/gateway-coder/supervise/lock`, ""},
	{"supervise/control, replaced", `rm -f /run/service/gateway-coder/supervise/control`, ""},
	{"log/supervise", `ln -s /etc/passwd /run/service/gateway-coder/log/supervise/status.new`, ""},
	{"reading secrets of another slot", `cat /run/service/gateway-secret/run`, ""},
	{"a static service", `echo id >>/run/service/registrar/run`, ""},
	{"the registrar's socket", `rm -f /run/hermes/registrar`, ""},
	{"the registrar's rules", `touch /run/hermes/rules/uid/default`, ""},
	{"the container's environment", `echo /tmp/evil.so >/run/s6/container_environment/LD_PRELOAD`, ""},
	{"init scripts", `echo id >>/etc/cont-init.d/02-reconcile-profiles`, ""},
	{"our programs", `echo >>/usr/bin/hermes-registrar`, ""},
}

// orders are requests that root would carry out if someone trusted made them.
var orders = []attack{
	{"another scan directory", ask(`register --scandir /opt/data/scan evil`), order("--scandir")},
	{"another home", ask(`register --home /etc evil`), order("--home")},
	{"another account", ask(`register --user root evil`), order("--user")},
	{"programs of its own", ask(`register --s6-bindir /opt/data/bin evil`), order("--s6-bindir")},
	{"a command", ask(`register --command id evil`), order("--command")},
	{"a file of root's", ask(`register --env-file /etc/secrets evil`), order("--env-file")},
	{"a dry run", ask(`register --replace --dry-run secret`), order("--dry-run")},
	{"verbose", ask(`register -v evil`), order("-v")},
	{"two at once", ask(`unregister coder secret`), order("one profile")},
	{"all at once", ask(`unregister --all`), order("--all")},
}

// garbled are requests that no one could make, not even root.
var garbled = []attack{
	{"for ever", ask(`register --wait --timeout 0 evil`), order("timeout")},
	{"another program", ask(`../../bin/sh -c id`), order("request")},
	{"no request", ask(``), order("request")},
	{"an option as a request", ask(`--home`), order("request")},
	{"a path for a name", ask(`register ../evil`), order("profile name")},
	{"a path for a name to go", ask(`unregister ../../etc`), order("profile name")},
	{"the name of a static service", ask(`unregister /run/service/registrar`), order("profile name")},
	{"a slash in a name", ask(`register a/b`), order("profile name")},
	{"10,000 arguments", ask(`register $(seq 10000)`), order("one profile")},
	{"a megabyte", ask(`register "$(head -c 100000 /dev/zero | tr '\0' a)" $(for i in 1 2 3 4 5 6 7 8 9 10; do head -c 100000 /dev/zero | tr '\0' a; echo; done)`), "unable to send args|" + order("one profile")},
	{"fewer arguments than it says", `attack raw /run/hermes/registrar 5 register evil`, "^$"}, // s6-sudod says nothing
	{"more arguments than it says", `attack raw /run/hermes/registrar 0 register evil`, order("request")},
	{"a NUL in a name", "attack raw /run/hermes/registrar 2 register '' evil", order("profile name")},
}

// granted are requests that the account may make, in the same ways as the refused ones. If
// those had failed only because nothing answers, these would fail, too.
var granted = []string{
	ask(`register --down good`), ask(`unregister good`),
	`attack raw /run/hermes/registrar 3 register --down good`, `attack raw /run/hermes/registrar 2 unregister good`,
}

// fatal are attacks that leave nothing to attack if they succeed.
var fatal = []attack{
	{"moving a slot away", `mv /run/service/gateway-coder /run/service/gateway-away`, ""},
	{"the control of s6-svscan", `printf t >/run/service/.s6-svscan/control`, ""},
}

// ask sends args to the registrar unchanged.
func ask(args string) string {
	return "s6-sudo -e /run/hermes/registrar " + args
}

// order matches our programs' refusal of a request for this reason.
func order(reason string) string {
	return `(?m)^hermes-(registrar|svc-(un)?register): fatal: .*` + regexp.QuoteMeta(reason)
}

// attackContainer boots a container with a gateway to attack, one that has secrets, and the
// program of the suite.
func attackContainer(t *testing.T) (c *container, home string) {
	t.Helper()
	home = newHomeFor(t, "coder", "secret")
	c = newContainer(t, home)
	tool := filepath.Join(scratch, "attack")
	c.check(build(tool, "./testdata/attack"))
	c.copy(tool, filepath.Join(c.dir, "upper/usr/bin/attack"))
	c.check(os.WriteFile(filepath.Join(c.upper(), "etc/secrets"), []byte("TOKEN=secret\n"), 0o600))
	c.boot()
	c.awaitRegistrar()
	c.must(false, "hermes-svc-register", "--replace", "--env", "TOKEN=secret", "secret")
	c.must(false, "hermes-svc", "start", "--wait", "coder", "secret")
	return c, home
}

// attempt runs an attack as the account, for twenty seconds at most, and returns its exit code
// and output.
func (c *container) attempt(a attack) (code int, said string) {
	said, code = c.exec(true, "timeout", "20", "sh", "-c", "exec 2>&1; PATH=/command:$PATH; "+a.script)
	return code, said
}

// serves fails the test if the account does not get what it may ask for.
func (c *container) serves(t *testing.T) {
	t.Helper()
	for _, request := range granted {
		if code, said := c.attempt(attack{script: request}); code != 0 {
			t.Errorf("%s: exit code %d: %s", request, code, said)
		}
		if out, _ := c.exec(false, "hermes-svstat", "--list"); strings.Contains(out, "good\n") == strings.Contains(request, "unregister") {
			t.Errorf("after %s: %s", request, out)
		}
	}
}

// rootsFiles describes what the container has written over its root, what is in /run, and what
// root owns in the home: all that an attack could have changed. Slots and what supervisors
// write are checked by other means.
func (c *container) rootsFiles() map[string]string {
	c.t.Helper()
	const script = `
		sum() { if [ -f "$1" ] && [ ! -L "$1" ]; then cksum <"$1"; else readlink "$1"; fi; }
		export LC_ALL=C
		find "$0" -printf '%p %y %U:%G %m\n' | while read -r path rest; do echo "$path $rest $(sum "$path")"; done`
	files := map[string]string{}
	add := func(out []byte, err error) {
		c.check(err)
		for line := range strings.Lines(string(out)) {
			path, what, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			files[path] = what
		}
	}
	add(exec.Command("nsenter", "-t", strconv.Itoa(c.pid), "-m", "sh", "-c", script, filepath.Join(c.dir, "fs/upper")).Output())
	for _, place := range []string{
		`/run -xdev ( -path /run/service/gateway-* -o -path /run/service/*/supervise -o -path /run/service/*/event -o -path /run/log -o -path /run/boot.out ) -prune -o`,
		`/opt/data -path /opt/data/.gateway-ports -prune -o -user 0`, // exists while ports are handed out
	} {
		out, _ := c.exec(false, append(append([]string{"find"}, strings.Fields(place)...), "-printf", "%p %y %U:%G %m %l\n")...)
		add([]byte(out), nil)
	}
	return files
}

// unharmed fails the test if root's files have changed, or the tree does not answer.
func (c *container) unharmed(t *testing.T, before map[string]string) {
	t.Helper()
	after := c.rootsFiles()
	var changes []string
	for path, was := range before {
		if is, there := after[path]; !there {
			changes = append(changes, "gone: "+path)
		} else if is != was {
			changes = append(changes, fmt.Sprintf("changed: %s from %s to %s", path, was, is))
		}
	}
	for path, is := range after {
		if _, there := before[path]; !there {
			changes = append(changes, "made: "+path+" "+is)
		}
	}
	slices.Sort(changes)
	for _, change := range changes {
		// The time of a directory and the account's /tmp do not matter.
		if !strings.Contains(change, "/upper/tmp") {
			t.Error(change)
		}
	}
	// Root must own the scripts in slots, and they must be regular files.
	if out, _ := c.exec(false, "sh", "-c", `find /run/service \( -name run -o -name finish -o -name type -o -name down \) ! -user 0; find /run/service -type l -path '*gateway-*'`); out != "" {
		t.Errorf("in slots: %s", out)
	}
	if out, code := c.exec(false, "hermes-svstat", "--list"); code != 0 || !strings.Contains(out, "secret\n") {
		t.Errorf("the tree does not answer: %d: %s", code, out)
	}
}

// TestAttacks tries all attacks. Each must be repelled by the right message, and nothing of
// root's may change.
func TestAttacks(t *testing.T) {
	c, _ := attackContainer(t)
	c.serves(t)
	before := c.rootsFiles()
	for _, a := range slices.Concat(attacks, orders, garbled, fatal) {
		code, said := c.attempt(a)
		if code == 0 {
			t.Errorf("%s: succeeded", a.name)
		} else if code == 124 || !regexp.MustCompile(cmp.Or(a.refusal, denied)).MatchString(said) {
			t.Errorf("%s: failed, and was not repelled: exit code %d: %s", a.name, code, said)
		}
	}
	if out, _ := c.exec(false, "hermes-svstat", "--list"); out != "coder\ndefault\nsecret\n" {
		t.Errorf("gateways: %s", out)
	}
	c.serves(t)
	c.unharmed(t, before)
}

// TestOrdersCanSucceed gives the same orders to a registrar that checks nothing, and each one
// is carried out.
func TestOrdersCanSucceed(t *testing.T) {
	c, _ := attackContainer(t)
	c.check(os.Remove(c.path("/usr/bin/hermes-registrar")))
	c.check(os.WriteFile(c.path("/usr/bin/hermes-registrar"), []byte("#!/bin/sh\nrequest=$1\nshift\nexec \"hermes-svc-$request\" \"$@\"\n"), 0o755))
	c.exec(false, "sh", "-c", "mkdir /opt/data/scan; ln -s /command /opt/data/bin; /command/s6-svscan /opt/data/scan >/dev/null 2>&1 &")
	s6test.Await(t, func() error {
		if _, code := c.exec(false, "/command/s6-svscanctl", "-a", "/opt/data/scan"); code != 0 {
			return s6test.ErrNot
		}
		return nil
	})
	for _, a := range orders {
		if code, said := c.attempt(a); code != 0 {
			t.Errorf("%s: exit code %d: %s", a.name, code, said)
		}
		c.exec(false, "hermes-svc-unregister", "evil") // if another attack is to make it next
	}
}

// TestAttacksCanSucceed runs the same attacks where the scan directory and the slots belong to
// the account, as in the image that ours replaces. There they make the account root. Whatever
// they cannot reach there, root can.
func TestAttacksCanSucceed(t *testing.T) {
	c, _ := attackContainer(t)
	c.exec(false, "chown", "-R", "hermes:hermes", "/run/service")
	succeeded := 0
	for _, a := range attacks { // but not those that would end it
		if code, _ := c.attempt(a); code == 0 {
			succeeded++
		} else if out, code := c.exec(false, "sh", "-c", "PATH=/command:$PATH; "+a.script); code != 0 {
			t.Errorf("%s: fails for root as well: exit code %d: %s", a.name, code, out)
		}
	}
	if succeeded < 10 {
		t.Errorf("only %d attacks succeeded", succeeded)
	}
	waitForFile(t, c.path("/run/pwned"))
	if uid := readFile(t, c.path("/run/pwned")); uid != "0\n" {
		t.Errorf("the account's service ran as %s", uid)
	}
}

// planted are the paths below the home that root opens, reads, makes, gives away, appends to
// or renames over.
var planted = []string{
	"profiles", "profiles/coder", "profiles/coder/SOUL.md",
	"profiles/coder/gateway_state.json", "profiles/coder/.gateway_state.json.new",
	"profiles/coder/gateway_service.json", "profiles/coder/.gateway_service.json.new",
	"profiles/coder/.gateway-planned-stop.json", "profiles/coder/..gateway-planned-stop.json.new",
	"profiles/coder/gateway.pid", "profiles/coder/processes.json",
	"logs", "logs/gateways", "logs/container-boot.log", "logs/container-boot.log.1",
	"config.yaml", "gateway_state.json", "SOUL.md",
}

// plants are what the account puts there: $0 is the path, $1 a directory of root's outside the
// home and $2 a file in it.
var plants = map[string]string{
	"a link to a directory": `ln -s "$1" "$0"`,
	"a link to a file":      `ln -s "$2" "$0"`,
	"a link to nothing":     `ln -s "$1/new" "$0"`,
	"a link to itself":      `ln -s "$0" "$0"`,
	"a FIFO":                `mkfifo "$0"`,
	"a socket's directory":  `mkdir "$0"; mkfifo "$0/x"`,
	"a hard link":           `ln "$HOME_OF_ROOT" "$0"`,
	"another mount's file":  `ln "$2" "$0"`,
}

// rootWorks does all that root does with a home, each step within a few seconds.
func (c *container) rootWorks(t *testing.T) {
	t.Helper()
	for _, cmd := range []string{
		"/etc/cont-init.d/01-hermes-home", "/etc/cont-init.d/02-reconcile-profiles",
		"hermes-svc stop --wait coder", "hermes-svc start --wait coder",
		"hermes-svc-register --replace --port 4000 coder", "hermes-svc-register --replace coder",
		"hermes-svstat --json", "hermes-reconcile",
	} {
		_, code := c.exec(false, append([]string{"timeout", "30"}, strings.Fields(cmd)...)...)
		if code == 124 {
			t.Errorf("%s hangs", cmd)
		}
	}
}

// TestPlanted plants links, FIFOs and hard links at every path of the home that root uses, and
// has root do all that it does.
func TestPlanted(t *testing.T) {
	c, home := attackContainer(t)
	upper := func(path string) string { return c.path(path) }
	c.check(os.Mkdir(upper("/etc/canary"), 0o700))
	c.check(os.WriteFile(upper("/etc/canary/file"), []byte(`{"desired_state":"running"}`), 0o600))
	c.check(os.WriteFile(filepath.Join(home, "of-root"), []byte(`{"desired_state":"running"}`), 0o600))
	before := c.rootsFiles()
	count := 0
	for _, path := range planted {
		for name, plant := range plants {
			script := `set -e; export HOME_OF_ROOT=/opt/data/of-root; [ ! -e "$0" ] || mv "$0" "$0.mine"; ` + plant
			if _, code := c.exec(true, "sh", "-c", script, "/opt/data/"+path, "/etc/canary", "/etc/canary/file"); code == 0 {
				count++
				c.rootWorks(t)
			}
			restore := `rm -rf "$0"; [ ! -e "$0.mine" ] || mv "$0.mine" "$0"`
			if out, code := c.exec(true, "sh", "-c", restore, "/opt/data/"+path); code != 0 {
				t.Fatalf("%s, %s: %s", path, name, out)
			}
			if t.Failed() {
				t.Fatalf("%s: %s", path, name)
			}
		}
	}
	c.unharmed(t, before)
	if count < len(planted)*5 {
		t.Errorf("only %d of %d could be planted", count, len(planted)*len(plants))
	}
}

// TestSwapped keeps exchanging what root uses with a link while root works.
func TestSwapped(t *testing.T) {
	c, home := attackContainer(t)
	c.check(os.Mkdir(c.path("/etc/canary"), 0o700))
	c.check(os.WriteFile(c.path("/etc/canary/file"), []byte(`{"desired_state":"running"}`), 0o600))
	c.check(os.WriteFile(filepath.Join(home, "of-root"), []byte(`{"desired_state":"running"}`), 0o600))
	before := c.rootsFiles()
	for _, path := range []string{"profiles", "profiles/coder", "profiles/coder/gateway_state.json", "profiles/coder/gateway_service.json", "logs", "logs/gateways", "logs/container-boot.log"} {
		target := "/etc/canary"
		if filepath.Ext(path) != "" {
			target += "/file"
		}
		c.must(true, "sh", "-c", `[ -e "$0" ] || : >"$0"; ln -s "$1" "$0.link"`, "/opt/data/"+path, target)
		done := make(chan string)
		go func() {
			out, _ := c.exec(true, "attack", "swap", "3", "/opt/data/"+path, "/opt/data/"+path+".link")
			done <- strings.TrimSpace(out)
		}()
		swaps := ""
		for swaps == "" {
			select {
			case swaps = <-done:
			default:
				c.rootWorks(t)
			}
		}
		if n, _ := strconv.Atoi(swaps); n < 1000 {
			t.Errorf("%s: swapped %s times only", path, swaps)
		}
		restore := `[ -L "$0" ] && mv -T "$0.link" "$0.mine" && rm "$0" && mv -T "$0.mine" "$0" || rm "$0.link"`
		if out, code := c.exec(true, "sh", "-c", restore, "/opt/data/"+path); code != 0 {
			t.Fatalf("%s: %s", path, out)
		}
	}
	c.unharmed(t, before)
}

// escapes are values and names made to break out of a script's quotes, in either dialect.
var escapes = []string{
	`'; touch /run/pwned; '`, `"; touch /run/pwned; "`, "$(touch /run/pwned)", "`touch /run/pwned`",
	"a\ntouch /run/pwned\n", `" } { touch /run/pwned } { "`, `\" touch /run/pwned`, "${HOME}$(id)", "\x00", "#!/bin/sh",
	`' -e '`, "-", "--", "{", "}", `\`,
}

// TestEscapes passes such values to the registrar, and has root run the result.
func TestEscapes(t *testing.T) {
	c, _ := attackContainer(t)
	before := c.rootsFiles()
	for _, dialect := range []string{"sh", "execline"} {
		for _, value := range escapes {
			if strings.Contains(value, "\x00") {
				continue // no argument can hold it; see the raw requests
			}
			for _, args := range [][]string{
				{"--env", "KEY=" + value, "coder"}, {"--env", value + "=x", "coder"}, {"--port", value, "coder"},
				{"--dialect", value, "coder"}, {value},
			} {
				c.exec(true, append([]string{"hermes-svc-register", "--replace", "--wait", "--dialect", dialect}, args...)...)
			}
			if out, code := c.exec(true, "hermes-svc", "restart", "coder"); code != 0 {
				t.Errorf("%q in %s: %s", value, dialect, out)
			}
		}
	}
	c.exec(true, "hermes-svc-register", "--replace", "coder")
	c.unharmed(t, before)
}

// TestRegistrarUnderFire: the registrar serves the account again after the account has stopped
// abusing it, serves no other account, and ignores a client's environment.
func TestRegistrarUnderFire(t *testing.T) {
	c, _ := attackContainer(t)
	before := c.rootsFiles()
	c.exec(true, "attack", "garbage", "/run/hermes/registrar", "300")
	held := make(chan struct{})
	go func() {
		defer close(held)
		c.exec(true, "attack", "hold", "3", "/run/hermes/registrar", "500")
	}()
	// Root needs no registrar, even if its connections are all in use.
	c.must(false, "hermes-svc-register", "--replace", "--port", "5000", "coder")
	<-held
	s6test.Await(t, func() error {
		if out, code := c.exec(true, "hermes-svc-register", "--replace", "coder"); code != 0 {
			return fmt.Errorf("exit code %d: %s", code, out)
		}
		return nil
	})
	evil := `cd /opt/data && mkdir evil && printf '#!/bin/sh\ntouch /run/pwned\n' >evil/s6-svscanctl && chmod 755 evil/s6-svscanctl &&
		PATH=/opt/data/evil:/command:$PATH HERMES_S6_BINDIR=/opt/data/evil HERMES_HOME=/opt/data/evil HERMES_USER=root S6_PROFILE_GATEWAY_SCANDIR=/opt/data/evil \
		HERMES_CONTENV=/opt/data/evil/s6-svscanctl HERMES_GATEWAY_PORT_ENV=PATH LD_PRELOAD=/opt/data/evil/x.so GODEBUG=x ENV=/opt/data/evil/s6-svscanctl \
		/command/s6-sudo /run/hermes/registrar register --down by-env && grep -q "s6-setuidgid hermes" /run/service/gateway-by-env/run`
	if out, code := c.exec(true, "sh", "-c", evil); code != 0 {
		t.Errorf("with an environment: %d: %s", code, out)
	}
	if out, _ := c.exec(false, "grep", "-r", "evil", "/run/service/gateway-by-env"); out != "" {
		t.Errorf("the client's environment is in the slot: %s", out)
	}
	c.exec(true, "hermes-svc-unregister", "by-env")
	// Another account.
	cmd := exec.Command("nsenter", "-t", strconv.Itoa(c.pid), "-m", "-p", "-r", "-w", "-S", "10001", "-G", "10001", "hermes-svc-register", "stranger")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 111 || !strings.Contains(string(out), "connection refused: it serves root") {
		t.Errorf("another account: exit code %d: %s", cmd.ProcessState.ExitCode(), out)
	}
	c.unharmed(t, before)
}
