//go:build unix

package manager

import "golang.org/x/sys/unix"

// readSmall returns the beginning of the file at path, "" where it cannot be read.
// Not os.ReadFile: that sets up the runtime's poller, for a command that then ends.
func readSmall(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var buf [256]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return ""
	}
	return string(buf[:n])
}
