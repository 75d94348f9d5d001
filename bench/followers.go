//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// followers are the programs that stay, with nothing to do but print what there is.
func (p *place) followers(live bool) []row {
	follow := p.following()
	if live {
		follow.before = func() error { return p.awaitUp("p*") }
	}
	logs := p.program("hermes-logs", "-f")
	logs.before = p.logs
	tails := p.settled(logs, nth(tail*p.count))
	if p.count > thousand {
		tails = nil // it takes more descriptors than a process gets
	}
	return []row{
		{"hermes-reconcile --follow", p.settled(follow, ready)},
		{"hermes-svstat --follow", p.settled(p.program("hermes-svstat", "--follow"), nth(p.count))},
		{"hermes-svstat --follow --json", p.settled(p.program("hermes-svstat", "--follow", "--json"), nth(p.count))},
		{"hermes-logs -f", tails},
	}
}

// following is hermes-reconcile --follow.
func (p *place) following() contender {
	return p.program("hermes-reconcile", "--follow", "--notification-fd", "3", "--timeout", limit)
}

// bootFollower is the same as an image runs it, before there are slots.
func (p *place) bootFollower() []row {
	return []row{{"hermes-reconcile --follow, fresh", p.settled(p.following(), ready)}}
}

// tail is the number of lines of a log with which hermes-logs -f begins.
const tail = 10

// logs gives each profile a log, besides the one that its logger writes.
func (p *place) logs() error {
	const name = "@400000006900000000000000.s" // as s6-log rotates, some time ago
	text := strings.Repeat("2025-10-27 23:26:40.000000000  a line of a gateway, which says what it has done\n", 10*tail)
	for _, d := range []string{"home/logs", "home/logs/gateways"} {
		if err := p.mkdir(d); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for i := range p.count {
		d := fmt.Sprintf("home/logs/gateways/p%d", i)
		if err := p.mkdir(d); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := p.write(text, d, name); err != nil {
			return err
		}
	}
	return nil
}

// fences are hermes-fence before it executes a gateway, and a stand-by. While the gateway runs
// nothing is left of hermes-fence.
func (p *place) fences() []row {
	holding := p.program("hermes-fence", "ours", "sh", "-c", "echo; exec sleep 1000000")
	waiting := p.program("hermes-fence", "ours", "true")
	return []row{
		{"hermes-fence, until it executes the gateway", p.once(p.program("hermes-fence", "ours", "true"))},
		{"a stand-by, while it waits", func() (mb float64, err error) {
			holder, err := p.start(holding, ready)
			if err != nil {
				return 0, err
			}
			defer func() { err = errors.Join(err, holder.end()) }()
			waiter, err := p.start(waiting, has("stands by"))
			if err != nil {
				return 0, err
			}
			defer func() { err = errors.Join(err, waiter.end()) }()
			if err := waiter.awaitProgram("s6-setlock"); err != nil {
				return 0, err
			}
			return waiter.peak()
		}},
	}
}
