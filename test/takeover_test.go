//go:build linux

package test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// A pythonSlot makes the slot of profile $0 as Hermes' own service manager leaves it, owned by
// the account entirely, and has s6-svscan take it up.
const pythonSlot = `set -e
umask 022
new=/run/service/.new-$0
mkdir -p $new/log $new/event $new/supervise/event $new/log/event $new/log/supervise/event /opt/data/logs/gateways/$0
mkfifo $new/supervise/control $new/log/supervise/control
chmod 3730 $new/event $new/supervise/event $new/log/event $new/log/supervise/event
chmod 660 $new/supervise/control $new/log/supervise/control
echo longrun >$new/type
printf '#!/command/with-contenv sh\nexec 2>&1\ncd /opt/data\nexec /command/s6-setuidgid hermes /opt/hermes/.venv/bin/hermes -p %s gateway run --replace\n' $0 >$new/run
printf '#!/bin/sh\nexit 0\n' >$new/finish
printf '#!/command/with-contenv sh\nexec /command/s6-setuidgid hermes /command/s6-log 1 n10 s1000000 T /opt/data/logs/gateways/%s\n' $0 >$new/log/run
chmod 755 $new/run $new/finish $new/log/run
chown -R hermes:hermes $new /opt/data/logs
mv $new /run/service/gateway-$0
/command/s6-svscanctl -a /run/service
`

// takeovers are what the account has done to such a live slot, in the slot. keeps says whether
// its gateway has to run on.
var takeovers = map[string]struct {
	script string
	keeps  bool
}{
	"honest":   {``, true},
	"writable": {`chmod 777 . log supervise log/supervise run finish`, true},
	"links":    {`ln -s /etc/canary supervise/status.new; ln -s /etc/canary supervise/death_tally.new; ln -s /etc/canary log/supervise/status.new; ln -s /etc/canary event/ftrig1:@4000000065aaaaaa1aaaaaaa:AAAAAA`, true},
	"settings": {`echo 3 >lock-fd; ln -s /etc/canary supervise/service-lock; mkdir -p down-signal/x/y; ln -s /etc/canary timeout-kill`, true},
	"lists": {`python3 -c 'import os, struct, sys
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in [(1, 7, 0xffffffff), (2, 7, os.getuid()), (4, 7, 0xffffffff), (16, 7, 0xffffffff), (32, 7, 0xffffffff)])
for d in [".", "log", "supervise", "log/supervise"]:
    for kind in ["default", "access"]:
        os.setxattr(d, "system.posix_acl_" + kind, acl)'`, true},
	"descriptor": {`setsid sh -c 'exec 3>>run 4>>finish 5>>log/run; while [ ! -e /tmp/now ]; do sleep 0.1; done; for fd in 3 4 5; do echo "id -u >/run/pwned" >&$fd; done; cp /tmp/evil evil && mv -f evil run; ln -sf /etc/canary supervise/status.new; touch /tmp/tried' >/dev/null 2>&1 &`, true},
	"script":     {`cp /tmp/evil new && mv new run`, true},
	"root":       {`cp /tmp/evil new && mv new run && /command/s6-svc -t . && while [ ! -e /run/pwned ]; do sleep 0.1; done`, true},
	"lock":       {`rm supervise/lock; : >supervise/lock; chmod 666 supervise/lock`, false},
	"held":       {`cd supervise; rm lock; : >lock; (exec /command/s6-setlock lock sleep 1000000) >/dev/null 2>&1 &`, false},
	"control":    {`cd supervise; rm control; mkfifo control; (exec 3<>control; exec sleep 1000000) >/dev/null 2>&1 &`, false},
	"status":     {`cd supervise; cp status own; mv -f own status`, false},
	"another":    {`mv supervise away; mkdir supervise`, false},
	"linked":     {`mv supervise away; ln -s away supervise`, false},
	"file":       {`mv supervise away; : >supervise`, false},
	"log-file":   {`mv log away; : >log`, false},
	"log-link":   {`mv log away; ln -s away log`, false},
	"logger":     {`mv log away`, false},
}

// TestTakeOver takes over the live scan directory that the account owned, with all that the
// account could do there. Gateways whose supervisors can be kept run on, the others run once,
// and nothing that the account tries after that makes root do anything.
func TestTakeOver(t *testing.T) {
	var names []string
	for name := range takeovers {
		names = append(names, name)
	}
	home := newHomeFor(t)
	c := newContainer(t, home, "HERMES_FOLLOW=0") // it would take them over at once
	c.boot()
	for _, name := range names {
		addProfile(t, home, name, `{"desired_state":"running"}`)
		c.must(false, "sh", "-c", pythonSlot, name)
	}
	c.exec(false, "sh", "-c", `echo canary >/etc/canary; printf '#!/bin/sh\nid -u >/run/pwned\nexec sleep 1000000\n' >/tmp/evil; chmod 755 /tmp/evil`)
	pid := func(name string) string {
		pid, _ := c.exec(false, "hermes-svstat", "-o", "pid", name)
		return strings.TrimSpace(pid)
	}
	up := func(name string) {
		t.Helper()
		c.await(false, "true\n", "hermes-svstat", "-o", "up", name)
	}
	before := map[string]string{}
	for _, name := range names {
		up(name)
		script := "cd /run/service/gateway-" + name + "; " + takeovers[name].script
		before[name] = pid(name)
		if out, code := c.exec(true, "sh", "-c", script); code != 0 {
			t.Fatalf("%s: %s", name, out)
		}
		if name == "root" { // it worked: there is something to end
			up(name)
			before[name] = pid(name)
		}
	}
	if out, code := c.exec(false, "hermes-reconcile"); code != 0 || strings.Count(out, "action=updated") != len(names) {
		t.Error(out)
	}
	c.exec(false, "rm", "-f", "/run/pwned")
	for _, name := range names {
		up(name)
		if name == "root" {
			// Its supervisor waits for a second, and its script drops root.
			s6test.Await(t, func() error {
				if uid, _ := c.exec(false, "stat", "-c", "%u", "/proc/"+pid(name)); uid != strconv.Itoa(accountUID)+"\n" {
					return fmt.Errorf("root: its gateway runs as %s", uid)
				}
				return nil
			})
		} else if now := pid(name); takeovers[name].keeps != (now == before[name]) {
			t.Errorf("%s: its gateway was %s and is %s", name, before[name], now)
		}
		for _, what := range []string{"s6-supervise gateway-" + name, "s6-supervise gateway-" + name + "/log", "gateway -p " + name} {
			if what = fmt.Sprintf(`ps -eo args | grep -c -- "%s\$"`, what); strings.Contains(what, "gateway -p") {
				what = fmt.Sprintf("ls -l /proc/[0-9]*/cwd 2>/dev/null | grep -c 'profiles/%s$'", name)
			}
			c.await(false, "1\n", "sh", "-c", what) // a gateway has children while it starts
		}
	}
	c.exec(true, "touch", "/tmp/now")
	waitForFile(t, c.path("/tmp/tried"))
	if out, _ := c.exec(false, "hermes-reconcile"); strings.Count(out, "action=unchanged") != len(names)+1 { // and default
		t.Errorf("the second run:\n%s", out)
	}
	for _, name := range names {
		var all strings.Builder
		for _, a := range attacks {
			if strings.Contains(a.script, "/gateway-coder") {
				fmt.Fprintf(&all, "(%s) 2>/dev/null && echo '%s'\n", strings.ReplaceAll(a.script, "gateway-coder", "gateway-"+name), a.name)
			}
		}
		if out, _ := c.exec(true, "sh", "-c", all.String()); out != "" {
			t.Errorf("%s: succeeded: %s", name, out)
		}
	}
	c.must(false, append([]string{"hermes-svc", "restart"}, names...)...)
	// Each log has its gateway's lines from before and after.
	for _, name := range names {
		s6test.Await(t, func() error {
			if n := strings.Count(readFile(t, filepath.Join(home, "logs/gateways", name, "current")), "up: -p "+name+" gateway"); n < 2 {
				return fmt.Errorf("%s: the log has %d starts", name, n)
			}
			return nil
		})
	}
	if out, code := c.exec(false, "sh", "-c", `[ ! -e /run/pwned ] && cat /etc/canary && find /run/service/gateway-* \( -type l -o -user hermes -o -type f -perm /022 \) -print`); code != 0 || out != "canary\n" {
		t.Errorf("after the attacks: %s", out)
	}
}
