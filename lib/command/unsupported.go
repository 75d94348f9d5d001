//go:build !linux

package command

import (
	"runtime"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/place"
)

// s6 and its scan directories are supported on Linux only.

func unsupported(name string, args []string) int {
	return cli.Main(&cli.Command{
		Name: name, Summary: "not available on " + runtime.GOOS,
		Flags: place.Flags(),
		Run:   place.Run(func(*place.Context) error { return noS6() }),
	}, args)
}

func svcVariables() []cli.Variable { return []cli.Variable{place.ManagerVariable} }

func noS6() error {
	return fail.Errorf(fail.Unsupported, "service manager s6: not available on %s", runtime.GOOS)
}

func s6Manager(*place.Context) (manager.ServiceManager, error) { return nil, noS6() }

// Register is hermes-svc-register.
func Register(args []string) int { return unsupported("hermes-svc-register", args) }

// Unregister is hermes-svc-unregister.
func Unregister(args []string) int { return unsupported("hermes-svc-unregister", args) }

// Reconcile is hermes-reconcile.
func Reconcile(args []string) int { return unsupported("hermes-reconcile", args) }

// Svstat is hermes-svstat without gateways to list.
func Svstat(args []string) int {
	return cli.Main(&cli.Command{
		Name: "hermes-svstat", Summary: "show what gateways are doing", Operands: "[PROFILE]...",
		Flags: place.Flags(
			cli.String("o", "", "print these `FIELDS`"),
			cli.Bool("print only the names", "list"),
			systemFlag(),
		),
		Run: place.Run(func(c *place.Context) error {
			if kind, ok := onHost(c, c.Args); ok {
				return hostStatus(c, kind, c.Args)
			}
			if len(c.Args) > 0 {
				return noS6()
			}
			return nil
		}),
	}, args)
}

// Logs is hermes-logs.
func Logs(args []string) int { return unsupported("hermes-logs", args) }

// Registrar is hermes-registrar.
func Registrar(args []string) int { return unsupported("hermes-registrar", args) }

// Fence is hermes-fence.
func Fence(args []string) int { return unsupported("hermes-fence", args) }
