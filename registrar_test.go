//go:build linux

package hermes_test

import (
	"fmt"
	"strings"
	"testing"

	"hermes-s6/lib/s6/s6test"
)

// TestRegistrar shows that the account can ask for all that it could do before,
// gets the output and the exit code that root gets, and nothing else.
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
		{"hermes-svc-register --down writer", 0, "/run/service/gateway-writer\n"},
		{"hermes-svc-register --wait --keep --timeout 100 writer", 99, ""},
		{"hermes-svc-register --command id nobody", 111, ""},
		{"hermes-svc-register Nobody", 100, ""},
		{"hermes-svc-register --env 1=2 nobody", 100, ""},
		{"hermes-svc restart coder", 0, ""},
		{"hermes-svc stop --wait coder writer", 0, ""},
		{"hermes-svc start --wait coder", 0, ""},
		{"hermes-svc-unregister --json coder nobody writer", 0, `{"name":"coder","action":"removed","killed":false}` + "\n" + `{"name":"nobody","action":"absent","killed":false}` + "\n"},
		{"hermes-svc start --wait writer", 0, ""}, // registers it first
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

// TestRegistrarGivenUp shows that a registrar which cannot come up is not started over
// and over: s6-rc would wait for it, and the container's command for s6-rc.
func TestRegistrarGivenUp(t *testing.T) {
	c := newContainer(t, newHomeFor(t), "HERMES_USER=nosuch")
	c.start()
	s6test.Await(t, func() error {
		got, _ := c.exec(false, "/command/s6-svstat", "-o", "up,wantedup,exitcode", "/run/service/registrar")
		if got != "false false 1\n" {
			return fmt.Errorf("up, wanted up, exit code: %q", got)
		}
		return nil
	})
}
