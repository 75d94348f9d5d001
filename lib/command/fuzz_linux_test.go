package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/must"
	"hermes-s6/lib/profile"
)

// FuzzEnvFile: an accepted env file gives the variables of its lines, and they are valid. A
// refused one is wrong usage, and no value is in the message.
func FuzzEnvFile(f *testing.F) {
	for _, s := range []string{"", "A=b", "A=b\n#c\n\n \t\nA=c=d\n", "A=\r\n\r\n", "A", "=b", " A=b", "A=\x00", "\ufeffA=b", "export A=b", "A=\xff\xfe\n", "\u00a0\n", "#", "\x85", "UID=1"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "env")
		must.Do(t, os.WriteFile(path, data, 0o600))
		env := map[string]profile.Bytes{}
		if err := readEnvFile(path, env); err != nil {
			if fail.CodeOf(err) != fail.Usage {
				t.Errorf("%q: code %d: %v", data, fail.CodeOf(err), err)
			}
			// --env is parsed likewise, and its value may be a secret.
			if key, _, ok := strings.Cut(string(data), "="); ok {
				const secret = "hunter2"
				if err := setEnv(env, key+"="+secret+"\x00"); err == nil || strings.Contains(err.Error(), secret) != strings.Contains(key, secret) {
					t.Errorf("%q: %v", key, err)
				}
			}
			if strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Errorf("%q: %v", data, err)
			}
			return
		}
		s := profile.Settings{Env: env}
		if err := s.Check(); err != nil {
			t.Errorf("%q: %v", data, err)
		}
		// The last line that begins with the key is the one that counts.
		for key, value := range env {
			lines := append([]byte("\n"), data...)
			i := bytes.LastIndex(lines, []byte("\n"+key+"="))
			if i < 0 {
				t.Fatalf("%q: where is %s from?", data, key)
			}
			want, _, _ := bytes.Cut(lines[i+len(key)+2:], []byte("\n"))
			if string(value) != string(want) {
				t.Errorf("%q: %s is %q", data, key, value)
			}
		}
		for _, line := range bytes.Split(data, []byte("\n")) {
			if key, _, ok := bytes.Cut(line, []byte("=")); ok && line[0] != '#' {
				if _, there := env[string(key)]; !there {
					t.Errorf("%q: %q is lost", data, line)
				}
			}
		}
	})
}
