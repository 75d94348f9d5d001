package command

import (
	"slices"
	"time"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/gateway"
	"hermes-s6/lib/place"
)

// Root runs this at the request of an account that runs what a language model decides. The
// rules are:
//   - What is accepted is listed here, option by option. Nothing else is parsed.
//   - The scan directory, the home and the account come from the environment that root
//     gave to the registrar service, and from nowhere else.
//   - Everything else is as if root itself ran the same command.

// maxAsked is the longest time that root works on one request.
const maxAsked = 10 * time.Minute

// Registrar is hermes-registrar, the program of the registrar service.
func Registrar(args []string) int {
	verb := ""
	if len(args) > 1 {
		verb = args[1]
		args = slices.Delete(slices.Clone(args), 1, 2)
	}
	answer := args[:min(len(args), 1)]
	if slices.Contains([]string{"--help", "-h", "--version"}, verb) {
		answer = append(answer, verb)
	}
	switch verb {
	case gateway.AskRegister:
		return cli.Main(&cli.Command{
			Name: "hermes-svc-register", Operands: "PROFILE", Bare: true, Summary: "what the registrar accepts",
			Flags: append(only(registerFlags(), "port", "env", "down", "keep", "replace", "dialect", "wait", "ready"), cli.BoundedTimeoutFlag(maxAsked), cli.JSONFlag()),
			Run:   place.Run(bounded(register)),
		}, args)
	case gateway.AskUnregister:
		return cli.Main(&cli.Command{
			Name: "hermes-svc-unregister", Operands: "PROFILE", Bare: true, Summary: "what the registrar accepts",
			Flags: []*cli.Flag{cli.BoundedTimeoutFlag(maxAsked), cli.JSONFlag()},
			Run: place.Run(bounded(func(c *place.Context) error {
				if _, err := c.Operand("profile"); err != nil {
					return err
				}
				return unregister(c)
			})),
		}, args)
	}
	return cli.Main(&cli.Command{
		Name: "hermes-registrar", Verb: gateway.AskRegister + "|" + gateway.AskUnregister, Operands: "PROFILE", Bare: true,
		Summary: "register and unregister gateways as root for another account",
		Text: `The image's registrar service runs this program as root. hermes-svc-register,
hermes-svc-unregister and hermes-svc ask that service if they may not write the scan
directory. "register --help" and "unregister --help" list the options of each request.`,
		Variables: append([]cli.Variable{place.ManagerVariable}, scriptVariables...),
		Run: place.Run(func(*place.Context) error {
			return fail.Errorf(fail.Usage, "invalid request %.60q: must be %s or %s", verb, gateway.AskRegister, gateway.AskUnregister)
		}),
	}, answer)
}

// only returns those of flags whose name is one of names.
func only(flags []*cli.Flag, names ...string) []*cli.Flag {
	return slices.DeleteFunc(flags, func(f *cli.Flag) bool { return !slices.Contains(names, f.Names()[0]) })
}

// bounded limits the timeout of a request.
func bounded(run func(*place.Context) error) func(*place.Context) error {
	return func(c *place.Context) error {
		timeout, err := c.Timeout()
		if err == nil && (timeout == 0 || timeout > maxAsked) {
			err = fail.Errorf(fail.Usage, "invalid timeout %q: must be 1 to %d milliseconds", c.String("timeout"), maxAsked.Milliseconds())
		}
		if err != nil {
			return err
		}
		return run(c)
	}
}
