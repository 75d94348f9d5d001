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
		Summary:  "print the logs of gateways",
		Operands: "[PROFILE]...",
		Text: `Prints all lines of each PROFILE's log in order of time: those in the file current and
those in the files that s6-log has rotated. Without operands, it prints the logs of all
profiles that have one. The profile's name stands before each line unless exactly one
PROFILE is given.

With -f alone, it prints the last 10 lines of each profile first. On a terminal, spaces
replace characters that would move the cursor.

TIME is a local time like 2026-11-24T18:00:00, or an age like 10m.`,
		Flags: place.Flags(
			cli.Bool("follow: keep printing new lines, across rotations", "f"),
			cli.String("n", "", "print only the last `N` lines of each profile"),
			cli.String("since", "", "print only lines from `TIME` on"),
		),
		Variables: []cli.Variable{{Name: "NO_COLOR", Usage: "if set, names have no colours"}},
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
	case errors.Is(err, unix.EPIPE): // a reader that stops reading has what it wanted
	case err != nil:
		return err
	}
	return c.Several(failed, count)
}
