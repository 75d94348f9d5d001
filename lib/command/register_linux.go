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
		Summary:  "create a gateway's service directory and have s6 supervise it",
		Operands: "PROFILE",
		Text: `Prints the path of the service directory, SCANDIR/gateway-PROFILE. Records the port, the
variables, the command and the dialect in gateway_service.json in the profile's directory.

An env file holds KEY=VALUE lines, blank lines, and comments that begin with #. Values are
taken literally. --env overrides --env-file. The last value of a key counts.

The STRING of --command is split like shell words. {profile} in it is replaced by the
profile's name.

Scripts in execline pass values as arguments. Any process can read them while the gateway
starts, so use sh for secrets.`,
		Flags:     place.Flags(registerFlags()...),
		Variables: svcVariables(),
		Run:       place.Run(register),
	}, args)
}

func registerFlags() []*cli.Flag {
	return []*cli.Flag{
		cli.String("port", "", "use port `N`, 1 to 65535 (derived from the name)"),
		cli.List("env", "set `KEY=VALUE` in the gateway's environment; repeatable"),
		cli.List("env-file", "set each KEY=VALUE line of `FILE`, - for standard input; repeatable"),
		cli.String("command", "", "run `STRING` as the gateway (hermes -p {profile} gateway run --replace)"),
		cli.String("dialect", "sh", "write the scripts in `sh|execline` (sh)"),
		cli.Bool("do not start the gateway", "down"),
		cli.Bool("if already registered, change nothing and exit 0", "keep"),
		cli.Bool("if already registered, update the service directory in place", "replace"),
		cli.Bool("wait until the gateway is up, or ready if it notifies s6", "wait"),
		readyFlag(),
		cli.Bool("print the files that would be written, change nothing", "dry-run"),
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

// registrationOf checks all options that can be checked in isolation.
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

// preview implements --dry-run.
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
