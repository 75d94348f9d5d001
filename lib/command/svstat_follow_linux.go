package command

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/dir"
	"hermes-s6/lib/inotify"
	"hermes-s6/lib/svstat"
)

// follow implements --follow: it ends with an error, or by a signal.
func (q *query) follow(r *svstat.Reader, fields []string) error {
	f := &svstat.Follower{
		Reader: r, All: len(q.Args) == 0, Open: q.openScan, ScanPath: q.Tree().ScanDir,
		Failed: func(err error) { q.Warn("%v", err) }, Warn: q.Warn, Out: int(os.Stdout.Fd()), Wake: -1,
	}
	var err error
	if f.Services, err = operands(q.Args); err != nil {
		return err
	}
	if q.inScanDir() {
		if err := q.NeedS6(); err != nil {
			return err
		}
	}
	if f.HomePath, err = q.HomePath(); err != nil {
		return err
	}
	switch {
	case fields != nil:
		q.followFields(f, fields)
	case q.Bool("json"):
		f.Depth, f.Shown, f.Changed = svstat.Object, svstat.ShownInJSON, q.changedObjects
	default:
		err = q.followTable(f)
	}
	if err == nil {
		err = f.Run()
	}
	if errors.Is(err, svstat.ErrUnread) {
		// Writing now kills us with SIGPIPE, like any program that writes to a pipe without a
		// reader.
		_ = q.Out.WriteByte('\n')
		err = q.Out.Flush()
	}
	return err
}

// openScan opens the scan directory, or returns nil if there is none.
func (q *query) openScan() (*dir.Dir, error) {
	scan, err := dir.Open(q.Tree().ScanDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return scan, err
}

// followTable is --follow for people.
func (q *query) followTable(f *svstat.Follower) (err error) {
	f.Depth, f.Shown = svstat.Table, svstat.ShownInTable
	if !cli.Terminal() || os.Getenv("TERM") == "dumb" {
		f.Changed = (&svstat.Rows{Out: q.Out}).Print
		return nil
	}
	screen := &svstat.Screen{Out: q.Out, Reader: f.Reader, Colours: q.Fancy(), Size: windowSize}
	f.Ages, f.Woken = true, screen.Resized
	f.Changed = func([]svstat.Change) error { return screen.Draw(f.States()) }
	f.Wake, err = inotify.OnSignal(unix.SIGWINCH)
	return err
}

// windowSize returns the terminal's size, or a usual one if the terminal does not say.
func windowSize() (columns, lines int) {
	columns, lines, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || columns < 1 || lines < 1 {
		return 80, 24
	}
	return columns, lines
}

func (q *query) changedObjects(changes []svstat.Change) error {
	for i := range changes {
		if err := q.JSON(changes[i].Object()); err != nil {
			return err
		}
	}
	return q.Out.Flush()
}

// followFields is --follow -o. A service without a line gets a warning, as without --follow.
func (q *query) followFields(f *svstat.Follower, fields []string) {
	if slices.Contains(fields, "normallyup") {
		f.Depth = svstat.Object
	}
	f.Shown = func(s *svstat.State) string {
		if !s.Supervised {
			return ""
		}
		var shown []string
		for _, name := range fields {
			if name != "updownfor" && name != "readyfor" {
				shown = append(shown, q.field(s, name))
			}
		}
		return strings.Join(shown, " ")
	}
	f.Changed = func(changes []svstat.Change) error {
		for i := range changes {
			c := &changes[i]
			if c.State == nil {
				q.Warn("%s: gone", c.Path)
			} else {
				q.line(c.State, fields)
			}
		}
		return q.Out.Flush()
	}
}
