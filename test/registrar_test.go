//go:build linux

package test

import (
	"strings"
	"testing"
)

// TestRegistrar: the account can ask for all that it could do before, gets the output and the
// exit code that root gets, and nothing else.
func TestRegistrar(t *testing.T) {
	home := newHomeFor(t, "coder", "writer")
	c := newContainer(t, home)
	c.boot()
	c.awaitRegistrar()
	for _, step := range []struct {
		args string
		code int
		want string // of stdout
	}{
		{"hermes-svc-unregister --all", 0, ""}, // what the boot has registered
		{"hermes-svc-register --wait --env A=b coder", 0, "/run/service/gateway-coder\n"},
		{"hermes-svstat -o name,up coder", 0, "coder true\n"},
		{"hermes-svc-register coder", 101, ""},
		{"hermes-svc-register --keep --json coder", 0, `"action":"kept"`},
		{"hermes-svc-register --replace --json --port 4321 --dialect execline coder", 0, `"action":"updated","supervised":true,"port":4321,"restart_needed":true`},
		{"hermes-svc-register --down --port 4002 writer", 0, "/run/service/gateway-writer\n"},
		{"hermes-svc-register --wait --keep writer", 1, ""},
		{"hermes-svc-register --command id nobody", 111, ""},
		{"hermes-svc-register Nobody", 100, ""},
		{"hermes-svc-register --env 1=2 nobody", 100, ""},
		{"hermes-svc restart coder", 0, ""},
		{"hermes-svc stop --wait coder writer", 0, ""},
		{"hermes-svc start --wait coder", 0, ""},
		{"cp /opt/data/profiles/writer/gateway_service.json /tmp/record", 0, ""},
		{"hermes-svc-unregister --json coder nobody writer", 0, `{"name":"coder","action":"removed","killed":false}` + "\n" + `{"name":"nobody","action":"absent","killed":false}` + "\n"},
		{"cp /tmp/record /opt/data/profiles/writer/gateway_service.json", 0, ""},
		{"hermes-svc start --wait writer", 0, ""}, // registers it first, with what is on record
		{"grep HERMES_GATEWAY_PORT= /run/service/gateway-writer/run", 0, "=4002"},
		{"hermes-svstat -o up writer", 0, "true\n"},
		{"hermes-svc-unregister --all", 0, ""},
		{"hermes-svstat --list", 0, ""},
	} {
		out, code := c.exec(true, strings.Fields(step.args)...)
		if code != step.code || !strings.Contains(out, step.want) || step.want == "" && out != "" {
			t.Errorf("%s: exit code %d, want %d: %s", step.args, code, step.code, out)
		}
	}
	if left, _ := c.exec(false, "sh", "-c", "ls -A /run/service | grep gateway"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestRegistrarTogether: gateways that the account unregisters are stopped together. Each of
// these ends only after all have been told to.
func TestRegistrarTogether(t *testing.T) {
	c := newContainer(t, newHomeFor(t, "coder", "tester", "writer"))
	c.boot()
	c.awaitRegistrar()
	for _, name := range []string{"coder", "tester", "writer"} {
		c.exec(false, "hermes-svc-register", "--replace", "--command", `sh -c 'cd /tmp; trap "touch told.{profile}" TERM; touch {profile}
			until [ -e told.coder ] && [ -e told.tester ] && [ -e told.writer ]; do sleep 0.1; done'`, name)
		c.exec(false, "hermes-svc", "restart", name)
		waitForFile(t, c.path("/tmp/"+name))
	}
	out, code := c.exec(true, "hermes-svc-unregister", "--json", "writer", "coder", "tester", "coder")
	want := ""
	for _, name := range []string{"coder", "tester", "writer"} {
		want += `{"name":"` + name + `","action":"removed","killed":false}` + "\n"
	}
	if out != want || code != 0 {
		t.Errorf("exit code %d:\n%swant:\n%s", code, out, want)
	}
}

// TestRegistrarRefuses: what the account is told if the registrar refuses, or would do
// something else than was asked for.
func TestRegistrarRefuses(t *testing.T) {
	c := newContainer(t, newHomeFor(t, "coder"))
	c.boot()
	c.awaitRegistrar()
	before, _ := c.exec(false, "hermes-svstat", "-o", "name,pid")
	for _, step := range []struct {
		user bool
		sh   string
		code int
		want string // the message, without the program's name
	}{
		// Root's service has its own values, and these would have been ignored.
		{true, "hermes-svc-register --scandir /etc --keep coder", 111, "--scandir: only root may choose it"},
		{true, "hermes-svc-register --home /tmp --keep coder", 111, "--home: only root may choose it"},
		{true, "hermes-svc-register --user root --keep coder", 111, "--user: only root may choose it"},
		{true, "mkdir -p /tmp/s/gateway-coder && chmod 555 /tmp/s && hermes-svc-unregister --scandir /tmp/s coder", 111, "--scandir: only root may choose it"},
		{true, "hermes-svc-register --scandir /run/service/ --home /opt/data/profiles/coder --user hermes --keep coder", 0, ""},
		{false, "/command/s6-setuidgid nobody hermes-svc-register --keep coder", 111, "registrar: connection refused: it serves root and the account's group, 30 connections at once"},
		// Killed, and no code of ours.
		{false, "printf '#!/bin/sh\nkill -9 $$\n' >/command/hermes-registrar && chmod 755 /command/hermes-registrar", 0, ""},
		{true, "hermes-svc-register --keep coder", 110, "registrar: exit code 137"},
	} {
		out, code := c.exec(step.user, "sh", "-c", step.sh+" 2>&1 >/dev/null")
		if _, said, _ := strings.Cut(strings.TrimSpace(out), ": fatal: "); code != step.code || said != step.want {
			t.Errorf("%s: exit code %d, want %d: %s", step.sh, code, step.code, out)
		}
	}
	if after, _ := c.exec(false, "hermes-svstat", "-o", "name,pid"); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}

// TestRegistrarGivenUp: a registrar that cannot start is not restarted again and again. s6-rc
// would wait for it, and the container's command for s6-rc.
func TestRegistrarGivenUp(t *testing.T) {
	c := newContainer(t, newHomeFor(t), "HERMES_USER=nosuch")
	c.start()
	c.await(false, "false false 1\n", "/command/s6-svstat", "-o", "up,wantedup,exitcode", "/run/service/registrar")
}
