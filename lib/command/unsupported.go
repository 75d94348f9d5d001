//go:build !linux

package command

import (
	"runtime"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
)

// s6 and its scan directories are on Linux only, as far as we are concerned.

func unsupported(name string, args []string) int {
	return cli.Main(&cli.Command{
		Name: name, Summary: "not on " + runtime.GOOS,
		Run: func(*cli.Context) error { return noS6() },
	}, args)
}

func noS6() error {
	return fail.Errorf(fail.Unsupported, "service manager s6: not on %s", runtime.GOOS)
}

func s6Manager(*cli.Context) (manager.ServiceManager, error) { return nil, noS6() }

// Register is hermes-svc-register.
func Register(args []string) int { return unsupported("hermes-svc-register", args) }

// Unregister is hermes-svc-unregister.
func Unregister(args []string) int { return unsupported("hermes-svc-unregister", args) }

// Reconcile is hermes-reconcile.
func Reconcile(args []string) int { return unsupported("hermes-reconcile", args) }

// Svstat is hermes-svstat.
func Svstat(args []string) int { return unsupported("hermes-svstat", args) }
