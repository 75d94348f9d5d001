package command

import (
	"fmt"
	"path/filepath"
	"strings"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/place"
)

// programs are the programs in hermes-s6, in the order of its --help.
var programs = []struct {
	name string
	main func([]string) int
}{
	{"hermes-svc-register", Register},
	{"hermes-svc-unregister", Unregister},
	{"hermes-reconcile", Reconcile},
	{"hermes-svc", Svc},
	{"hermes-svstat", Svstat},
	{"hermes-logs", Logs},
	{"hermes-detect", Detect},
	{"hermes-fence", Fence},
	{"hermes-registrar", Registrar},
}

// Suite is hermes-s6. It runs the program by whose name it was called, through a link, or else
// the one that its first operand names.
func Suite(args []string) int {
	for len(args) > 0 {
		name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
		for _, p := range programs {
			if p.name == name {
				return p.main(args)
			}
		}
		if name != "hermes-s6" || len(args) < 2 || strings.HasPrefix(args[1], "-") {
			break
		}
		args = args[1:]
	}
	names := ""
	for _, p := range programs {
		names += "  " + p.name + "\n"
	}
	wrong := "a program is needed"
	if len(args) == 0 {
		args = []string{"hermes-s6"}
	} else if name := filepath.Base(args[0]); name != "hermes-s6" {
		wrong = fmt.Sprintf("%q: no such program", name)
		if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			args = args[:1] // the rest is for a program that does not exist
		}
	}
	return cli.Main(&cli.Command{
		Name: "hermes-s6", Operands: "PROGRAM [ARGUMENTS]", Bare: true,
		Summary: "all programs of the suite in one binary",
		Text:    "Call it by a link that has the name of a program, or give that name first.\n\nprograms:\n" + strings.TrimSuffix(names, "\n"),
		Run: place.Run(func(*place.Context) error {
			return fail.Hint(fail.Errorf(fail.Usage, "%s", wrong), "--help lists the programs")
		}),
	}, args)
}
