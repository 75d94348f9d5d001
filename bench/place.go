//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/s6/s6test"
)

// A place is a home and a scan directory on a tmpfs, where scan directories usually are.
type place struct {
	bench *bench
	ctx   context.Context
	dir   string
	env   []string
	gid   int
	uid   int
	count int            // of profiles
	stay  bool           // their command exists, and stays
	all   bool           // all of them ran; else every second one
	tree  *s6test.Svscan // nil without supervision
}

func (p *place) path(names ...string) string {
	return filepath.Join(append([]string{p.dir}, names...)...)
}

func (p *place) slot(name string) string { return p.path("scan", "gateway-"+name) }

// newPlace makes a place without profiles. Its gateways run as another account than root, if
// we can drop to one.
func newPlace(b *bench) (*place, error) {
	account, err := user.Current()
	if err == nil && os.Geteuid() == 0 {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/dev/shm", "hermes-bench-")
	if err != nil {
		return nil, err
	}
	p := &place{bench: b, ctx: b.Context, dir: dir}
	p.uid, _ = strconv.Atoi(account.Uid)
	p.gid, _ = strconv.Atoi(account.Gid)
	// The root profile would be an additional gateway. As in an image, gateways find hermes-fence.
	p.env = append(os.Environ(), "PATH="+b.tools+":"+os.Getenv("PATH"), "HERMES_RECONCILE_PROFILES=p*", "HERMES_SERVICE_MANAGER=s6", "HERMES_USER="+account.Username,
		"HERMES_HOME="+p.path("home"), "S6_PROFILE_GATEWAY_SCANDIR="+p.path("scan"))
	err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(p.path("scan"), 0o755), p.mkdir("home"), p.mkdir("home", "profiles"))
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// mkdir makes a directory, owned by the account.
func (p *place) mkdir(names ...string) error {
	return errors.Join(os.Mkdir(p.path(names...), 0o755), os.Chown(p.path(names...), p.uid, p.gid))
}

// write makes a file, owned by the account.
func (p *place) write(text string, names ...string) error {
	return errors.Join(os.WriteFile(p.path(names...), []byte(text), 0o644), os.Chown(p.path(names...), p.uid, p.gid))
}

const (
	record = `{"command":"sleep 1000000"}`
	ran    = `{"desired_state":"running"}`
)

// profiles makes profiles until there are n.
func (p *place) profiles(n int) error {
	for ; p.count < n; p.count++ {
		if err := p.profile(fmt.Sprintf("p%d", p.count), p.all || p.count%2 == 0); err != nil {
			return err
		}
	}
	return nil
}

func (p *place) profile(name string, running bool) error {
	dir := filepath.Join("home", "profiles", name)
	err := errors.Join(p.mkdir(dir), p.write("", dir, "SOUL.md"))
	if p.stay {
		err = errors.Join(err, p.write(record, dir, "gateway_service.json"))
	}
	if running {
		err = errors.Join(err, p.write(ran, dir, "gateway_state.json"))
	}
	return err
}

// empty empties the scan directory, as a restart does, and removes the records of the
// profiles, as if they were fresh.
func (p *place) empty() error {
	for i := range p.count {
		err := os.Remove(p.path("home", "profiles", fmt.Sprintf("p%d", i), "gateway_service.json"))
		if p.stay && err == nil {
			err = p.write(record, "home", "profiles", fmt.Sprintf("p%d", i), "gateway_service.json")
		}
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return errors.Join(os.RemoveAll(p.path("scan")), os.Mkdir(p.path("scan"), 0o755))
}

// template has hermes-reconcile make a slot, for C to copy, and returns its path. After that
// it is in no scan directory, and its profile is gone.
func (p *place) template() (string, error) {
	const name = "template"
	if err := p.profile(name, false); err != nil {
		return "", err
	}
	if _, err := p.run(p.program("hermes-reconcile", "--profiles", name)); err != nil {
		return "", err
	}
	to := p.path("gateway-" + name)
	return to, errors.Join(os.Rename(p.slot(name), to), os.RemoveAll(p.path("home", "profiles", name)))
}

// inC makes the slots of all profiles that hermes-reconcile makes, from template.
func (p *place) inC(template string) contender {
	return contender{args: []string{p.bench.tool("slots"), p.path("scan"), strconv.Itoa(p.count), strconv.Itoa(p.gid), template}}
}

// supervise runs s6-svscan on the scan directory.
func (p *place) supervise() (err error) {
	p.tree, err = s6test.Run(p.path("scan"), p.env, s6test.MaxServices(4000)...)
	return err
}

// grow brings a live place to n gateways, and returns when all are up and what started them is
// done.
func (p *place) grow(n int) error {
	if err := p.profiles(n); err != nil {
		return err
	}
	if _, err := p.run(p.reconciling()); err != nil {
		return err
	}
	if err := p.awaitUp("p*"); err != nil {
		return err
	}
	return p.awaitSettled()
}

// awaitSettled waits until the gateway and the logger of each profile have replaced their
// scripts. Up only means that the scripts run, and a thousand of them do so for a while.
func (p *place) awaitSettled() error {
	settled := func() error {
		running := map[string]int{}
		for _, process := range p.tree.Processes() {
			program, _, _ := strings.Cut(process.Command, " ")
			running[filepath.Base(program)]++
		}
		if p.ctx.Err() == nil && (running["sleep"] < p.count || running["s6-log"] < p.count) {
			return fmt.Errorf("of %d gateways %d run, and %d loggers: %w", p.count, running["sleep"], running["s6-log"], s6test.ErrNot)
		}
		return p.ctx.Err()
	}
	deadline := time.Now().Add(patience)
	err := s6test.AwaitErr(settled)
	for errors.Is(err, s6test.ErrNot) && time.Now().Before(deadline) {
		err = s6test.AwaitErr(settled)
	}
	return err
}

// reconciling is a run of hermes-reconcile.
func (p *place) reconciling() contender { return p.program("hermes-reconcile", "--timeout", limit) }

// limit is how many milliseconds anything may take to come up or to end.
const limit = "120000"

// program is one of our programs.
func (p *place) program(name string, args ...string) contender {
	return contender{args: append([]string{p.bench.tool(name)}, args...)}
}

// awaitUp waits until the gateways whose profiles match are up. It uses s6-svwait, which is
// not one of the measured programs.
func (p *place) awaitUp(pattern string) error {
	slots, err := filepath.Glob(p.slot(pattern))
	if err != nil || len(slots) == 0 {
		return fmt.Errorf("%s: no such gateways: %w", pattern, err)
	}
	_, err = p.run(contender{args: append([]string{"s6-svwait", "-u", "-t", limit}, slots...)})
	return err
}

// close ends all that runs in p and removes it, even after an interrupt.
func (p *place) close() error {
	p.ctx = context.WithoutCancel(p.ctx)
	var err error
	if p.tree != nil {
		if _, err = p.run(p.program("hermes-svc-unregister", "--all", "--timeout", limit)); err != nil {
			p.tree.Abort()
		} else {
			err = p.tree.Stop()
		}
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// in calls f with a new place, a live one or not, and closes it.
func (b *bench) in(live bool, f func(p *place) error) (err error) {
	p, err := newPlace(b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if live {
		p.stay, p.all = true, true
		if err := p.supervise(); err != nil {
			return err
		}
	}
	return f(p)
}
