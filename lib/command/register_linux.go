package command

import (
	"fmt"
	"strconv"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/gateway"
	"hermes-s6/lib/place"
	"hermes-s6/lib/profile"
)

// Register is hermes-svc-register.
func Register(args []string) int {
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
		Flags:     place.Flags(registerFlags()...),
		Variables: svcVariables(),
		Run:       place.Run(register),
	}, args)
}

func registerFlags() []*cli.Flag {
	return []*cli.Flag{
		cli.String("port", "", "the gateway's port `N`, 1 to 65535 (derived from the name)"),
		cli.List("env", "put `KEY=VALUE` into the gateway's environment; repeatable"),
		cli.List("env-file", "the same for each line of `FILE`, - for standard input; repeatable"),
		cli.String("command", "", "run `STRING`, split as a shell splits words, {profile} replaced (hermes -p {profile} gateway run --replace)"),
		cli.String("dialect", "sh", "write the scripts in `sh|execline` (sh)"),
		cli.Bool("do not start the gateway", "down"),
		cli.Bool("if there is a slot already, leave it, and exit 0", "keep"),
		cli.Bool("if there is a slot already, bring it to this definition in place", "replace"),
		cli.Bool("wait until the gateway is up, or ready where it notifies", "wait"),
		readyFlag(),
		cli.Bool("print what would be written, touch nothing", "dry-run"),
		cli.TimeoutFlag(),
	}
}

func register(c *place.Context) error {
	name, err := c.Operand("profile")
	if err != nil {
		return err
	}
	if err := profile.CheckName(name); err != nil {
		return err
	}
	asked, err := registrationOf(c)
	if err != nil {
		return err
	}
	m, err := openManager(c, asked.Settings.Dialect)
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
func registrationOf(c *place.Context) (r gateway.Registration, err error) {
	if r.Settings, err = settingsOf(c); err != nil {
		return r, err
	}
	r.Down, r.Keep, r.Replace, r.Wait = c.Bool("down"), c.Bool("keep"), c.Bool("replace"), c.Bool("wait")
	r.Ready = c.Bool("ready")
	if r.Keep && r.Replace {
		return r, fail.Errorf(fail.Usage, "--keep and --replace: mutually exclusive")
	}
	if (r.Wait || r.Ready) && r.Down {
		return r, fail.Errorf(fail.Usage, "--down and --wait or --ready: mutually exclusive")
	}
	r.Timeout, err = c.Timeout()
	return r, err
}

// settingsOf returns what the options ask for.
func settingsOf(c *place.Context) (s profile.Settings, err error) {
	s.Env = map[string]profile.Bytes{}
	for _, file := range c.List("env-file") {
		if err := readEnvFile(file, s.Env); err != nil {
			return s, err
		}
	}
	for _, v := range c.List("env") {
		if err := setEnv(s.Env, v); err != nil {
			return s, err
		}
	}
	if c.IsSet("port") {
		s.Port, err = strconv.Atoi(c.String("port"))
		if err != nil || s.Port < 1 || s.Port > 65535 {
			return s, fail.Errorf(fail.Usage, "invalid port %q: must be 1 to 65535", c.String("port"))
		}
	}
	s.Command = c.String("command")
	s.Dialect = profile.Dialect(c.String("dialect"))
	return s, s.Check()
}

// preview is --dry-run.
func preview(c *place.Context, m *gateway.Manager, name string, asked gateway.Registration) error {
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

func reportRegistered(c *place.Context, name string, done gateway.Registered) error {
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
