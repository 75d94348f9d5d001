package command

import (
	"bytes"
	"io"
	"os"
	"strings"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
)

// maxEnvFile is more than a process's environment can hold.
const maxEnvFile = 4 << 20

// readEnvFile adds the variables of the env file at path, or of standard input for "-".
func readEnvFile(path string, env map[string]profile.Bytes) error {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxEnvFile+1))
	if err != nil {
		return err
	}
	if len(data) > maxEnvFile {
		return fail.Errorf(fail.Usage, "env file %s: larger than any environment", path)
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimSuffix(string(line), "\n")
		if strings.TrimSpace(text) == "" || text[0] == '#' {
			continue
		}
		if key, _, _ := strings.Cut(text, "="); profile.CheckKey(key) != nil {
			// Do not quote the line: it may be the second line of a secret.
			return fail.Errorf(fail.Usage, "env file %s: line %d: not KEY=VALUE with a key that can be exported", path, number)
		}
		if err := setEnv(env, text); err != nil {
			return fail.Errorf(fail.Usage, "env file %s: line %d: %w", path, number, err)
		}
	}
	return nil
}

// setEnv adds one KEY=VALUE. Its error does not quote the value, which may be a secret.
func setEnv(env map[string]profile.Bytes, s string) error {
	key, value, ok := strings.Cut(s, "=")
	if err := profile.CheckKey(key); err != nil {
		return err
	}
	if !ok {
		return fail.Errorf(fail.Usage, "environment key %s: no value; write KEY=VALUE", key)
	}
	if strings.IndexByte(value, 0) >= 0 {
		return fail.Errorf(fail.Usage, "environment key %s: its value contains a NUL byte", key)
	}
	env[key] = profile.Bytes(value)
	return nil
}
