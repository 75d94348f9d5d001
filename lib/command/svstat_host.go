package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/place"
)

// A host is a machine with a service manager of its own instead of s6. There hermes-svstat
// asks that manager about the named gateways: whether they are up, and their pid.

func systemFlag() *cli.Flag {
	return cli.Bool("under systemd, use the system's services, not the user's", "system")
}

// isServiceDir distinguishes a service directory from a profile.
func isServiceDir(operand string) bool {
	return strings.Contains(operand, "/") || operand == "." || operand == ".."
}

// onHost reports whether operands ask for gateways of a host, and returns the kind of its
// service manager.
func onHost(c *place.Context, operands []string) (manager.Kind, bool) {
	system := c.Bool("system")
	if !system && (len(operands) == 0 || slices.ContainsFunc(operands, isServiceDir)) {
		return "", false
	}
	kind, err := c.Manager()
	return kind, err == nil && (system || kind != manager.S6 && kind != manager.None)
}

// given reports whether option is on. (Any option without a value can be =false.)
func given(c *place.Context, option string) bool {
	return c.IsSet(option) && c.String(option) != "false"
}

// dashed returns option with its dashes.
func dashed(option string) string {
	if option == "o" {
		return "-o"
	}
	return "--" + option
}

// hostStatus is hermes-svstat for such gateways.
func hostStatus(c *place.Context, kind manager.Kind, names []string) error {
	if c.Bool("list") && len(names) > 0 {
		return fail.Errorf(fail.Usage, "--list: unexpected operand %q", c.Args[0])
	}
	for _, option := range []string{"o", "follow", "metrics", "check"} {
		if given(c, option) {
			return fail.Hint(fail.Errorf(fail.Unsupported, "%s: not available with service manager %s", dashed(option), kind), "--json shows what is")
		}
	}
	if err := checkNames(names); err != nil {
		return err
	}
	m, err := hostManager(c, kind)
	if err != nil {
		return err
	}
	var errs []error
	allUp := true
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	if !c.Bool("json") && len(names) > 0 {
		fmt.Fprintln(w, "NAME\tSTATE\tPID")
	}
	for _, name := range names {
		pid, up, err := m.Running(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		allUp = allUp && up
		if err := printOnHost(c, w, name, pid, up); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := c.Last(errs); err != nil {
		return err
	}
	if !allUp {
		return cli.Quiet(fail.No)
	}
	return nil
}

func printOnHost(c *place.Context, w *tabwriter.Writer, name string, pid int, up bool) error {
	if c.Bool("json") {
		return c.JSON(struct {
			Name string `json:"name"`
			Up   bool   `json:"up"`
			PID  *int   `json:"pid"`
		}{name, up, cli.Given(pid, pid != 0)})
	}
	state, shown := "down", "-"
	if up {
		state = "up"
	}
	if pid != 0 {
		shown = strconv.Itoa(pid)
	}
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\n", name, state, shown)
	return err
}
