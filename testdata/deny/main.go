//go:build linux

// Deny runs a program for which some system calls fail, and for all that it starts: by a
// seccomp filter, as those of container engines.
// usage: deny CALL=ERRNO[,CALL=ERRNO...] PROG...
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var calls = map[string]uint32{
	"clone3":            unix.SYS_CLONE3,
	"close_range":       unix.SYS_CLOSE_RANGE,
	"copy_file_range":   unix.SYS_COPY_FILE_RANGE,
	"faccessat2":        unix.SYS_FACCESSAT2,
	"fchmodat2":         unix.SYS_FCHMODAT2,
	"inotify_add_watch": unix.SYS_INOTIFY_ADD_WATCH,
	"inotify_init1":     unix.SYS_INOTIFY_INIT1,
	"openat2":           unix.SYS_OPENAT2,
	"pidfd_open":        unix.SYS_PIDFD_OPEN,
	"pidfd_send_signal": unix.SYS_PIDFD_SEND_SIGNAL,
	"renameat2":         unix.SYS_RENAMEAT2,
	"statx":             unix.SYS_STATX,
}

var errnos = map[string]syscall.Errno{
	"EINVAL": unix.EINVAL, "EMFILE": unix.EMFILE, "ENOSPC": unix.ENOSPC, "ENOSYS": unix.ENOSYS, "EPERM": unix.EPERM,
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("deny: fatal: ")
	if len(os.Args) < 3 {
		log.Fatal("usage: deny CALL=ERRNO[,CALL=ERRNO...] PROG...")
	}
	filter, err := program(strings.Split(os.Args[1], ","))
	if err != nil {
		log.Fatal(err)
	}
	path, err := exec.LookPath(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// Of all threads, since any may be the one that executes the program. Root needs no
	// PR_SET_NO_NEW_PRIVS, and set-user-ID programs go on to work.
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		log.Fatal("seccomp: ", errno)
	}
	log.Fatal(syscall.Exec(path, os.Args[2:], os.Environ()))
}

// program returns the filter that denies what denials say.
func program(denials []string) (filter []unix.SockFilter, err error) {
	filter = []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the call's number
	for _, denial := range denials {
		call, name, _ := strings.Cut(denial, "=")
		number, known := calls[call]
		errno, named := errnos[name]
		if !known || !named {
			return nil, fmt.Errorf("%q: not CALL=ERRNO of those that are known", denial)
		}
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	return append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}), nil
}
