package profile

import (
	"errors"
	"io/fs"
)

// The boot log in logs/, what it becomes when it is full, and when that is.
const (
	bootLog     = "container-boot.log"
	bootLogOld  = "container-boot.log.1"
	bootLogSize = 256 << 10
)

// AppendBootLog appends text, whole lines, to logs/container-boot.log in one
// write. A log that has reached its size is first renamed to .1.
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
	if err == nil && st.Size >= bootLogSize {
		if err := logs.Rename(bootLog, logs, bootLogOld); err != nil {
			return err
		}
	}
	return logs.Append(bootLog, 0o644, h.UID, h.GID, text)
}
