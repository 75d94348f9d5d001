package command

import (
	"fmt"
	"strconv"

	clilib "github.com/urfave/cli/v2"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/gateway"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/profile"
)

// Register is hermes-svc-register.
func Register(args []string) int {
	var env, files list
	return cli.Main(&cli.Command{
		Name:     "hermes-svc-register",
		Summary:  "make the slot of a profile's gateway and have s6 supervise it",
		Operands: "PROFILE",
		Text: `Prints the path of the slot, SCANDIR/gateway-PROFILE. What is asked for here is
recorded in the profile's directory as gateway_service.json.

An env file holds lines KEY=VALUE, taken as they are, blank lines and lines that
begin with #. --env goes before --env-file, and the last of several for one key
counts. Scripts in execline hand values on as arguments, which any process can see
while the gateway starts: for secrets, stay with sh.`,
		Flags:     registerFlags(&env, &files),
		Variables: svcVariables(),
		Run:       func(c *cli.Context) error { return register(c, env, files) },
	}, args)
}

func registerFlags(env, files *list) []clilib.Flag {
	return []clilib.Flag{
		&clilib.StringFlag{Name: "port", Usage: "the gateway's port `N`, 1 to 65535 (derived from the name)"},
		&clilib.GenericFlag{Name: "env", Value: env, Usage: "put `KEY=VALUE` into the gateway's environment; repeatable"},
		&clilib.GenericFlag{Name: "env-file", Value: files, Usage: "the same for each line of `FILE`, - for standard input; repeatable"},
		&clilib.StringFlag{Name: "command", Usage: "run `STRING`, split as a shell splits words, {profile} replaced (hermes -p {profile} gateway run --replace)"},
		&clilib.StringFlag{Name: "dialect", Value: "sh", Usage: "write the scripts in `sh|execline` (sh)"},
		&clilib.BoolFlag{Name: "down", Usage: "do not start the gateway"},
		&clilib.BoolFlag{Name: "keep", Usage: "if there is a slot already, leave it, and exit 0"},
		&clilib.BoolFlag{Name: "replace", Usage: "if there is a slot already, bring it to this definition in place"},
		&clilib.BoolFlag{Name: "wait", Usage: "wait until the gateway is up, or ready where it notifies"},
		&clilib.BoolFlag{Name: "dry-run", Usage: "print what would be written, touch nothing"},
		cli.TimeoutFlag(),
	}
}

// A list is a flag that can be given several times; no value is split or
// trimmed.
type list []string

func (l *list) Set(s string) error { *l = append(*l, s); return nil }
func (l *list) String() string     { return "" }

func register(c *cli.Context, env, files list) error {
	name, err := c.Operand("profile")
	if err != nil {
		return err
	}
	if err := profile.CheckName(name); err != nil {
		return err
	}
	asked, err := registrationOf(c, env, files)
	if err != nil {
		return err
	}
	m, err := openS6(c, asked.Settings.Dialect)
	if err != nil {
		return err
	}
	defer m.Close()
	if c.Bool("dry-run") {
		return preview(c, m, name, asked)
	}
	done, err := m.Register(name, asked)
	if err != nil {
		return err
	}
	return reportRegistered(c, name, done)
}

// registrationOf checks all options that can be checked by themselves.
func registrationOf(c *cli.Context, env, files list) (r manager.Registration, err error) {
	if r.Settings, err = settingsOf(c, env, files); err != nil {
		return r, err
	}
	r.Down, r.Keep, r.Replace, r.Wait = c.Bool("down"), c.Bool("keep"), c.Bool("replace"), c.Bool("wait")
	if r.Keep && r.Replace {
		return r, fail.Errorf(fail.Usage, "--keep and --replace: only one can be")
	}
	if r.Wait && r.Down {
		return r, fail.Errorf(fail.Usage, "--wait and --down: a gateway that is not started does not come up")
	}
	r.Timeout, err = c.Timeout()
	return r, err
}

// settingsOf returns what the options ask for.
func settingsOf(c *cli.Context, env, files list) (s profile.Settings, err error) {
	s.Env = map[string]profile.Bytes{}
	for _, file := range files {
		if err := readEnvFile(file, s.Env); err != nil {
			return s, err
		}
	}
	for _, v := range env {
		if err := setEnv(s.Env, v); err != nil {
			return s, err
		}
	}
	if c.IsSet("port") {
		s.Port, err = strconv.Atoi(c.String("port"))
		if err != nil || s.Port < 1 || s.Port > 65535 {
			return s, fail.Errorf(fail.Usage, "invalid port %q: it must be 1 to 65535", c.String("port"))
		}
	}
	s.Command = c.String("command")
	s.Dialect = profile.Dialect(c.String("dialect"))
	return s, s.Check()
}

// preview is --dry-run.
func preview(c *cli.Context, m *gateway.S6, name string, asked manager.Registration) error {
	files, err := m.Preview(name, asked)
	if err != nil {
		return err
	}
	for _, f := range files {
		if c.Bool("json") {
			err = c.JSON(struct {
				Path    string        `json:"path"`
				Mode    string        `json:"mode"`
				Content profile.Bytes `json:"content"`
			}{f.Name, fmt.Sprintf("%04o", f.Mode), profile.Bytes(f.Data)})
		} else {
			_, err = fmt.Fprintf(c.Out, "==> %s %04o <==\n%s\n", f.Name, f.Mode, f.Data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func reportRegistered(c *cli.Context, name string, done manager.Registered) error {
	if !c.Bool("json") {
		_, err := fmt.Fprintln(c.Out, done.Path)
		return err
	}
	return c.JSON(struct {
		Name       string `json:"name"`
		ServiceDir string `json:"servicedir"`
		Action     string `json:"action"`
		Supervised bool   `json:"supervised"`
		Port       int    `json:"port,omitempty"`
		Affected   bool   `json:"restart_needed"`
	}{name, done.Path, done.Action, done.Supervised, done.Port, done.Affected})
}
