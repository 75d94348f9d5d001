package profile

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// The boot log in logs/, its name after rotation, and the size at which it is rotated.
const (
	bootLog     = "container-boot.log"
	bootLogOld  = "container-boot.log.1"
	bootLogSize = 256 << 10
)

// AppendBootLog appends text, whole lines, to logs/container-boot.log in one write, and
// returns the file's path. A log that has reached its size limit, or does not belong to the
// account, is first renamed to .1.
func (h *Home) AppendBootLog(text []byte) (path string, err error) {
	logs, _, err := h.makeDir(h.dir, "logs")
	if err != nil {
		return "", err
	}
	defer logs.Close()
	// The lock closes a race: if two boots see a full log at once, the second would rename the
	// few lines of the first over the whole old log. If another process (of the account, say)
	// keeps the lock, the log only grows and nothing is lost.
	if err = logs.Lock(time.Now().Add(writePatience)); !errors.Is(err, os.ErrDeadlineExceeded) {
		if err = h.rotateBootLog(logs); err != nil {
			return "", err
		}
	}
	if err = logs.Append(bootLog, 0o644, h.UID, h.GID, text); err != nil {
		return "", err
	}
	return logs.Path(bootLog), nil
}

func (h *Home) rotateBootLog(logs *dir.Dir) error {
	st, err := logs.Stat(bootLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	foreign := h.UID >= 0 && int(st.Uid) != h.UID // root's, from an earlier image
	if err != nil || st.Size < bootLogSize && !foreign {
		return nil
	}
	// The rename is relative to the directory's descriptor, so the file stays in that directory.
	return logs.Rename(bootLog, logs, bootLogOld)
}

// logsDir is where each gateway's logger makes its own directory, named for the profile.
const logsDir = "logs/gateways"

// LogFile returns the path of the current log of profile name's gateway.
func (h *Home) LogFile(name string) string { return h.dir.Path(logsDir + "/" + name + "/current") }

// LogDir opens the log directory of profile name, or for "" the directory of all of them.
func (h *Home) LogDir(name string) (*dir.Dir, error) {
	at := path.Join(logsDir, name)
	d, err := h.dir.Dir(at)
	return d, notLink(h.dir, at, err)
}

// Logged returns the names of the profiles whose gateways have a log.
func (h *Home) Logged() ([]string, error) {
	d, err := h.LogDir("")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Names()
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool { return CheckName(name) != nil }), err
}

// MakeLogDir makes logs/gateways if it is missing. Each gateway's logger makes its own
// directory there. undo removes what MakeLogDir made. Nothing stays open in between, because
// one run may register many profiles.
func (h *Home) MakeLogDir() (undo func() error, err error) {
	var made, madeBelow bool
	undo = func() error {
		// A directory that is in use by now stays.
		if madeBelow {
			if logs, err := h.dir.Dir("logs"); err == nil {
				_ = logs.Rmdir("gateways")
				logs.Close()
			}
		}
		if made {
			_ = h.dir.Rmdir("logs")
		}
		return nil
	}
	logs, made, err := h.makeDir(h.dir, "logs")
	if err != nil {
		return undo, err
	}
	defer logs.Close()
	gateways, madeBelow, err := h.makeDir(logs, "gateways")
	gateways.Close()
	return undo, err
}

// makeDir makes the directory name, or opens the existing one.
func (h *Home) makeDir(in *dir.Dir, name string) (d *dir.Dir, made bool, err error) {
	d, err = in.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		d, err = in.Dir(name)
		return d, false, err
	}
	if err != nil || h.UID < 0 {
		return d, err == nil, err
	}
	// This closes a race: between mkdir and open the account may have renamed another
	// directory to this name, even one owned by root, to have it given away. An empty one is
	// no loss.
	names, err := d.Names()
	if err == nil && len(names) > 0 {
		err = fail.Errorf(fail.System, "mkdir %s: somebody else replaced it", d.Path(""))
	}
	if err == nil {
		err = d.Own(h.UID, h.GID, 0o755)
	}
	if err != nil {
		d.Close()
		return nil, false, err
	}
	return d, true, nil
}
