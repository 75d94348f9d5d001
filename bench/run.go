//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds every process. It is long, because a loaded machine is no failure, and only
// a failure reaches it.
const patience = 5 * time.Minute

// A contender is a command that is measured.
type contender struct {
	args []string
	// no says that exit code 1 is an answer, not a failure.
	no bool
	// warm has it run once, uncounted, before each time that counts. Some hosts take memory back
	// from a machine after a second without use, and would charge the first that needs it again.
	// It must change nothing.
	warm bool
	// before makes the state that the command is to find. It is not timed.
	before func() error
	// until ends what is timed. If it is nil, the end of the command does; otherwise the
	// command may run on.
	until func(context.Context) error
	// in is where it runs. nil means the place that measures.
	in *place
}

// String implements fmt.Stringer. It leaves out what does not matter to a reader.
func (c contender) String() string {
	const most = 6
	if len(c.args) > most {
		return strings.Join(c.args[:most], " ") + " ..."
	}
	return strings.Join(c.args, " ")
}

// warmed returns contenders that are warm.
func warmed(contenders ...contender) []contender {
	for i := range contenders {
		contenders[i].warm = true
	}
	return contenders
}

// contend runs all contenders one after the other, round after round, and returns how many
// milliseconds each took in each round. It does not count a first round, which reads from disk
// what is in memory later.
func (p *place) contend(runs int, contenders ...contender) ([]sample, error) {
	samples := make([]sample, len(contenders))
	for round := range runs + 1 {
		for i, c := range contenders {
			if c.before != nil {
				if err := c.before(); err != nil {
					return nil, err
				}
			}
			if c.warm {
				if _, err := p.run(c); err != nil {
					return nil, err
				}
			}
			took, err := cmp.Or(c.in, p).time(c)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				samples[i] = append(samples[i], took.Seconds()*1000)
			}
		}
	}
	return samples, nil
}

// rounds returns the number of rounds with n gateways: what takes a millisecond is measured
// ten times as often.
func (b *bench) rounds(n int) int {
	if n <= 10 {
		return 10 * b.runs
	}
	return b.runs
}

// time returns how long it took from the start of c to the end of what is timed.
func (p *place) time(c contender) (time.Duration, error) {
	if c.until == nil {
		return p.run(c)
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	start := time.Now()
	ended := make(chan error, 1)
	go func() {
		_, err := p.run(c)
		if err != nil {
			cancel() // what is waited for will not happen
		}
		ended <- err
	}()
	err := c.until(ctx)
	took := time.Since(start)
	if e := <-ended; e != nil {
		err = e
	}
	return took, err
}

// run runs c and returns how long it took, from fork to wait.
func (p *place) run(c contender, extra ...*os.File) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	// A file, not a pipe, which would wake a reader up.
	messages, err := os.Create(p.path("messages"))
	if err != nil {
		return 0, err
	}
	defer messages.Close()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Env, cmd.Stderr, cmd.ExtraFiles = p.env, messages, extra
	// A shell's children end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	start := time.Now()
	err = cmd.Run()
	took := time.Since(start)
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%s: %w", c, ctx.Err())
	}
	if err != nil && !(c.no && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 1) {
		text, _ := os.ReadFile(messages.Name())
		return 0, fmt.Errorf("%s: %w: %s", c, err, text)
	}
	return took, nil
}

// peak runs c and returns its peak memory in MB (see peak.c).
func (p *place) peak(c contender) (float64, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	c.args = slices.Concat([]string{p.bench.tool("peak")}, c.args)
	_, err = p.run(c, w)
	w.Close()
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	kb, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	return kb / 1024, err
}
