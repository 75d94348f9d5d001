//go:build linux

package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hermes-s6/lib/s6/s6test"
)

// TestSeals shows that a run which relies on the seals of the one before misses
// no change, and that seals which are no use do no harm. The changes are those
// that a look at size and mtime would miss, too.
func TestSeals(t *testing.T) {
	const profiles = 220 // seals are for homes with many
	p := newPlace(t)
	for i := range profiles - 2 {
		p.addProfile(t, fmt.Sprint("p", i), "")
	}
	p.run(t, 0, "hermes-reconcile")
	seals := filepath.Join(p.scan, ".hermes-seals")
	if n := strings.Count(readFile(t, seals), "\n"); n != profiles {
		t.Fatalf("%d seals, want %d", n, profiles)
	}
	sealed := func(t *testing.T) {
		// A slot that was made in the tick in which the seals were written is
		// looked at again: until there is none.
		s6test.Await(t, func() error {
			p.run(t, 0, "hermes-reconcile")
			run, err := os.Stat(filepath.Join(p.scan, "gateway-p7/run"))
			if err != nil {
				return err
			}
			written, err := os.Stat(seals)
			if err == nil && written.ModTime().Sub(run.ModTime()) < 20*time.Millisecond {
				err = errors.New("the seals are not older")
			}
			return err
		})
	}
	for name, change := range map[string]string{
		"edited in place":   `cp -p run "$1/saved"; tr a-y b-z <"$1/saved" >run; touch -r "$1/saved" run`,
		"another in place":  `sed s/125/124/ finish >new; chmod 755 new; touch -r finish new; mv new finish`,
		"another logger":    `tr a-y b-z <log/run >new; chmod 755 new; touch -r log/run new; mv new log/run`,
		"type":              `printf 'oneshot\n' >type`,
		"mode":              `chmod 700 finish`,
		"mode of event":     `chmod 700 event`,
		"mode of supervise": `chmod 777 log/supervise`,
		"mode of a FIFO":    `chmod 666 supervise/control`,
		"owner":             `chown nobody log`,
		"not to start":      `rm down`,
		"a directory":       `rm run; mkdir run`,
		"gone":              `mv log/run log/gone`,
		"the slot":          `mv ../gateway-p7 ../gateway-p8x; rm -r ../gateway-p8x`,
		"a link":            `mv ../gateway-p7 ../.away; ln -s .away ../gateway-p7`,
		"what is on record": `echo '{"env":{"KEY":"value"}}' >"$1/profiles/p7/gateway_service.json"`,
		"what is wanted":    `echo '{"desired_state":"running"}' >"$1/profiles/p7/gateway_state.json"`,
	} {
		t.Run(name, func(t *testing.T) {
			sealed(t)
			p.run(t, 0, "/bin/sh", "-ec", `cd "$0/gateway-p7"; `+change, p.scan, p.home)
			out := p.run(t, 0, "hermes-reconcile")
			if strings.Count(out, "action=unchanged\n") != profiles-1 || strings.Contains(out, "profile=p7 prior_state=None action=unchanged") {
				t.Errorf("p7 was changed, the others were not:\n%s", grep(out, "p7 ")+fmt.Sprint(strings.Count(out, "action=unchanged\n")))
			}
			diff(t, contents(t, p.scan), model(t, p))
			p.run(t, 0, "/bin/sh", "-c", `rm -rf "$0"/.away "$0"/profiles/p7/*.json`, p.home)
		})
	}
	t.Run("in use", func(t *testing.T) {
		needStrace(t)
		read := func() (n int) {
			for _, line := range p.strace(t, []string{"hermes-reconcile"}, "-e", "trace=openat,openat2").lines {
				if strings.Contains(line, `, "run"`) {
					n++
				}
			}
			return n
		}
		sealed(t)
		if n := read(); n != 0 {
			t.Errorf("%d slots under their seals were read", n)
		}
		p.run(t, 0, "/bin/sh", "-ec", `touch -r "$0/gateway-p7/run" "$1"`, p.scan, seals)
		if n := read(); n == 0 {
			t.Error("one whose seal may be of the same tick was not")
		}
	})
	for name, change := range map[string]string{
		"none":        `rm "$0"`,
		"rubbish":     `head -c 100000 /dev/urandom >"$0"`,
		"empty":       `: >"$0"`,
		"a directory": `rm "$0"; mkdir "$0"`,
		"a link":      `mv "$0" "$0.away"; ln -s "$0.away" "$0"`,
		"a FIFO":      `rm "$0"; mkfifo "$0"`,
		"of others":   `sed s/^./x/ "$0" >"$0.new"; mv "$0.new" "$0"`,
	} {
		t.Run("seals: "+name, func(t *testing.T) {
			sealed(t)
			p.run(t, 0, "/bin/sh", "-ec", change, seals)
			if out := p.run(t, 0, "hermes-reconcile"); strings.Count(out, "action=unchanged\n") != profiles {
				t.Errorf("the second run:\n%s", out)
			}
			_ = os.RemoveAll(seals)
		})
	}
}

// grep returns the lines of text that hold what.
func grep(text, what string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, what) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
