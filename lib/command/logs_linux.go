package command

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/logs"
	"hermes-s6/lib/place"
)

// Logs is hermes-logs.
func Logs(args []string) int {
	return cli.Main(&cli.Command{
		Name:     "hermes-logs",
		Summary:  "print gateways' logs",
		Operands: "[PROFILE]...",
		Text: `Without operands: those of every profile that has a log. Prints all that there is in
current and in the files that s6-log has rotated, in the order of time, with the
profile's name before each line unless exactly one PROFILE is named; with -f alone
the last 10 lines of each. What the lines hold is printed as it is, but on a
terminal without what would move its cursor.

TIME is a time of day like 2026-11-24T18:00:00, local, or how long ago, like 10m.`,
		Flags: place.Flags(
			cli.Bool("follow: print what is logged from now on, whatever is rotated", "f"),
			cli.String("n", "", "print the last `N` lines of each profile alone"),
			cli.String("since", "", "print nothing from before `TIME`"),
		),
		Variables: []cli.Variable{{Name: "NO_COLOR", Usage: "no colours of names, where it is set"}},
		Run:       place.Run(logsRun),
	}, args)
}

func logsRun(c *place.Context) error {
	s := &logs.Set{Lines: -1, Follow: c.Bool("f"), Named: len(c.Args) > 0, Warn: c.Warn}
	if s.Follow && !c.IsSet("since") {
		s.Lines = 10
	}
	if text := c.String("n"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return fail.Errorf(fail.Usage, "invalid n %q: must be 0 to %d lines", text, 1<<31-1)
		}
		s.Lines = int(n)
	}
	if text := c.String("since"); text != "" {
		var err error
		if s.Since, err = logs.Since(text, time.Now()); err != nil {
			return fail.Errorf(fail.Usage, "--since: %w", err)
		}
	}
	if err := checkNames(c.Args); err != nil {
		return err
	}
	home, err := c.OpenHome()
	if err != nil {
		return err
	}
	defer home.Close()
	s.Open, s.Names = home.LogDir, home.Logged
	if s.Named {
		names := unique(c.Args)
		s.Names = func() ([]string, error) { return names, nil }
	}
	s.Printer = logs.Printer{
		Out: bufio.NewWriterSize(os.Stdout, 64<<10), Names: len(c.Args) != 1,
		Colours: c.Fancy(), Printable: cli.Terminal(), JSON: c.Bool("json"),
	}
	failed, count, err := s.Run()
	switch {
	case errors.Is(err, unix.EPIPE): // who does not read on has what he wanted
	case err != nil:
		return err
	}
	return c.Several(failed, count)
}
