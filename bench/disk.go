//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// errLeftOut is returned for what cannot be measured on this machine.
var errLeftOut = errors.New("left out")

// disk measures what a home on a disk costs a boot of fresh profiles: a home on ext4, with
// each sync taking 5 ms more, against one on tmpfs. strace makes the delay. It traces both,
// with the same filter, so that both bear its own cost.
func (b *bench) disk() error {
	t := &table{header: []string{"profiles", "home on tmpfs, ms", "on ext4 with 5 ms a sync, ms", "slower by, ms", "syncs"}}
	err := b.in(false, func(ram *place) error {
		return b.in(false, func(disk *place) error {
			if err := disk.mount(); err != nil {
				return err
			}
			return errors.Join(b.compare(t, ram, disk), disk.unmount())
		})
	})
	if errors.Is(err, errLeftOut) {
		t.row(count(thousand), strings.ReplaceAll(err.Error(), "\n", " "))
		err = nil
	}
	if err == nil {
		b.add("disk", t)
	}
	return err
}

// compare adds to t what hermes-reconcile takes in ram and on disk.
func (b *bench) compare(t *table, ram, disk *place) error {
	if err := errors.Join(ram.profiles(thousand), disk.profiles(thousand)); err != nil {
		return err
	}
	fast, slow := ram.traced(), disk.traced("-e", "inject="+delayed+":delay_exit=5000")
	fast.before, slow.before = ram.emptied, disk.emptied
	times, err := ram.contend(b.runs, fast, slow)
	if err != nil {
		return err
	}
	slower := times[1].minus(times[0])
	syncs, err := disk.syncs()
	if err != nil {
		return err
	}
	t.row(count(thousand), figure(times[0].median()), figure(times[1].median()), slower.ratio(), count(syncs))
	b.measured(diskBoot, slower.median())
	return nil
}

// delayed are the system calls that wait for a disk. sync_file_range is traced, but need not wait.
const delayed = "fsync,fdatasync,syncfs"

// traced is hermes-reconcile under strace, which stops it only at the system calls that
// options name.
func (p *place) traced(options ...string) contender {
	args := append([]string{"strace", "-f", "-qq", "--seccomp-bpf", "-o", p.path("trace"),
		"-e", "trace=" + delayed + ",sync_file_range"}, options...)
	return contender{args: append(args, p.reconciling().args...), in: p}
}

// syncs returns how many of them the last traced run made.
func (p *place) syncs() (n int, err error) {
	text, err := os.ReadFile(p.path("trace"))
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "sync") && !strings.Contains(line, "resumed>") {
			n++
		}
	}
	return n, err
}

// mount puts p's home on an ext4 of its own, in an image in the temporary directory. It
// returns errLeftOut if that is not possible.
func (p *place) mount() error {
	for _, program := range []string{"strace", "mkfs.ext4", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: %w", errLeftOut, err)
		}
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: root alone can mount", errLeftOut)
	}
	image := filepath.Join(p.bench.tools, "disk")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 512<<20)); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image},
		{"mount", "-o", "loop", image, p.path("home")},
	} {
		if out, err := exec.CommandContext(p.ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s: %w: %s", errLeftOut, args[0], err, out)
		}
	}
	err := errors.Join(os.Chown(p.path("home"), p.uid, p.gid), p.mkdir("home", "profiles"))
	if err != nil {
		err = errors.Join(err, p.unmount())
	}
	return err
}

// unmount undoes mount, even after an interrupt.
func (p *place) unmount() error {
	out, err := exec.CommandContext(context.WithoutCancel(p.ctx), "umount", p.path("home")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("umount: %w: %s", err, out)
	}
	return nil
}

// emptied is empty, but also waits until the disk is done with that before anything is timed.
func (p *place) emptied() error {
	if err := p.empty(); err != nil {
		return err
	}
	home, err := os.Open(p.path("home"))
	if err != nil {
		return err
	}
	defer home.Close()
	return unix.Syncfs(int(home.Fd()))
}
