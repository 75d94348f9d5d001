package profile

import (
	"errors"
	"io/fs"
	"slices"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// The boot log in logs/, what it becomes when it is full, and when that is.
const (
	bootLog     = "container-boot.log"
	bootLogOld  = "container-boot.log.1"
	bootLogSize = 256 << 10
)

// AppendBootLog appends text, whole lines, to logs/container-boot.log in one
// write. A log that has reached its size, or is not the account's, is first
// renamed to .1.
func (h *Home) AppendBootLog(text []byte) error {
	logs, err := h.makeDir(h.dir, "logs")
	if err != nil {
		return err
	}
	defer logs.Close()
	st, err := logs.Stat(bootLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	foreign := h.UID >= 0 && int(st.Uid) != h.UID // root's, from an earlier image
	if err == nil && (st.Size >= bootLogSize || foreign) {
		if err := logs.Rename(bootLog, logs, bootLogOld); err != nil {
			return err
		}
	}
	return logs.Append(bootLog, 0o644, h.UID, h.GID, text)
}

// LogFile returns the path of the file that profile name's gateway logs to.
func (h *Home) LogFile(name string) string {
	return h.dir.Path("logs/gateways/" + name + "/current")
}

// MakeLogDir makes logs/gateways, in which each gateway's logger makes its own
// directory, where it is missing. undo removes what it made.
func (h *Home) MakeLogDir() (undo func() error, err error) {
	var made []func() error
	undo = func() error {
		for _, remove := range slices.Backward(made) {
			_ = remove() // what is in use by now stays
		}
		return nil
	}
	in := h.dir
	for _, name := range []string{"logs", "gateways"} {
		there, err := in.Exists(name)
		if err != nil {
			return undo, err
		}
		d, err := h.makeDir(in, name)
		if err != nil {
			return undo, err
		}
		if !there {
			parent := in
			made = append(made, func() error { return parent.Rmdir(name) })
		}
		in = d
	}
	return undo, nil
}

func (h *Home) makeDir(in *dir.Dir, name string) (*dir.Dir, error) {
	d, err := in.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return in.Dir(name)
	}
	if err != nil || h.UID < 0 {
		return d, err
	}
	// Between mkdir and open the account may have renamed another directory
	// to this name, a root-owned one included, to have it given away. An
	// empty one is no loss.
	names, err := d.Names()
	if err == nil && len(names) > 0 {
		err = fail.Errorf(fail.System, "mkdir %s: somebody replaced it meanwhile", d.Path(""))
	}
	if err == nil {
		err = d.Own(h.UID, h.GID, 0o755)
	}
	return d, err
}
