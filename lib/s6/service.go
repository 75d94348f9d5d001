//go:build linux

package s6

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fail"
)

// A Service is the service directory Name in In. Its logger, if it has one, is the service
// directory Name/log.
type Service struct {
	In   *dir.Dir
	Name string
}

// Log returns s's logger.
func (s Service) Log() Service { return Service{s.In, s.Name + "/log"} }

// Path returns the path of s when In was opened.
func (s Service) Path() string { return s.In.Path(s.Name) }

// Names below a service directory (s6/supervise.h).
const (
	superviseDir = "/supervise"
	lockFile     = superviseDir + "/lock"
	controlFifo  = superviseDir + "/control"
	statusFile   = superviseDir + "/status"
	deathFile    = superviseDir + "/death_tally"
	downFile     = "/down"
)

// open opens the file name below s for reading.
func (s Service) open(name string) (int, error) { return s.In.File(s.Name + name) }

func (s Service) fail(op, name string, err error) error { return s.In.Fail(op, s.Name+name, err) }

// Supervised reports whether an s6-supervise runs on s. It holds a write lock on
// supervise/lock for as long as it lives (control_init in s6-supervise.c).
func (s Service) Supervised() (bool, error) {
	fd, err := s.open(lockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	// Ask what conflicts with a read lock: only a write lock does, and only a user who may
	// write the file can hold one. So an account that may only read the file cannot make a
	// dead supervisor look alive.
	flock := unix.Flock_t{Type: unix.F_RDLCK}
	err = unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &flock)
	return flock.Type == unix.F_WRLCK, s.fail("read lock", lockFile, err)
}

// Status reads the status of s. If s is not supervised, that is what its last supervisor left.
func (s Service) Status(p Programs) (Status, error) {
	st := Status{Now: taiOf(time.Now())}
	var err error
	if st.Supervised, err = s.Supervised(); err != nil {
		return st, err
	}
	var buf [statusSize213 + 1]byte // one byte more, to detect a larger file
	b, err := s.In.ReadHead(s.Name+statusFile, buf[:])
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil || st.decode(b) || !st.Supervised {
		return st, err
	}
	out, err := p.run(time.Time{}, "s6-svstat", "-o", asked, s.Path())
	if err != nil {
		return st, err
	}
	return st, st.parse(strings.TrimSuffix(string(out), "\n"))
}

// Field returns what s6-svstat -o name prints for s, whose status is st.
func (s Service) Field(p Programs, st *Status, name string) string {
	if name == "normallyup" {
		up, err := s.NormallyUp()
		return strconv.FormatBool(up && err == nil)
	}
	// Two signals have two names each, and which name is used depends on the version of
	// skalibs (sig_name.c: 2.13 has ABRT and POLL, 2.15 IOT and IO). To be comparable, the
	// names must be s6's own.
	if n := st.Signal(); name == "signal" && (n == int(unix.SIGABRT) || n == int(unix.SIGIO)) {
		if out, err := p.run(time.Time{}, "s6-svstat", "-o", name, s.Path()); err == nil {
			return strings.TrimSpace(string(out))
		}
	}
	return st.Field(name)
}

// NormallyUp reports whether s is normally up: it has no ./down.
func (s Service) NormallyUp() (bool, error) {
	down, err := s.has(downFile)
	return !down, err
}

// Notifies reports whether s notifies readiness (notification-fd in servicedir's manual page).
func (s Service) Notifies() (bool, error) { return s.has("/notification-fd") }

func (s Service) has(name string) (bool, error) {
	err := unix.Faccessat(s.In.Fd(), s.Name+name, unix.F_OK, 0)
	if err == unix.ENOENT {
		return false, nil
	}
	return err == nil, s.fail("access", name, err)
}

// Deaths reads s's death tally, oldest first. A missing tally is empty.
func (s Service) Deaths() ([]Death, error) {
	b, err := s.In.ReadLinked(s.Name+deathFile, deathSize*maxDeaths)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return decodeDeaths(b), err
}

// Control sends commands to s's supervisor: letters, named like s6-svc's options
// (handle_control in s6-supervise.c). It fails with exit code 102 if there is no supervisor.
func (s Service) Control(commands string) error {
	fd, err := s.openControl()
	if err == unix.ENXIO || err == unix.ENOENT {
		return fail.Errorf(fail.Absent, "%s: not supervised", s.Path())
	}
	if err != nil {
		return s.fail("open", controlFifo, err)
	}
	defer unix.Close(fd)
	// This is less than PIPE_BUF, so it is written completely or fails with EAGAIN.
	_, err = unix.Write(fd, []byte(commands))
	return s.fail("write", controlFifo, err)
}

// Listens runs s6-svc without commands, and returns its error if s is not supervised.
func (s Service) Listens(p Programs) error {
	_, err := p.run(time.Now().Add(listenLimit), "s6-svc", s.Path())
	return err
}

// listenLimit is how long a supervisor may take from its lock to its FIFO.
const listenLimit = 2 * time.Second

// openControl opens the FIFO that s's supervisor reads. A supervisor takes its lock before it
// makes and opens the FIFO (control_init in s6-supervise.c), so we wait for one that has just
// started. The kernel has no event for that.
func (s Service) openControl() (int, error) {
	limit := time.Now().Add(listenLimit)
	for {
		fd, err := unix.Openat(s.In.Fd(), s.Name+controlFifo, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != unix.ENXIO && err != unix.ENOENT {
			return fd, err
		}
		if there, e := s.Supervised(); e != nil || !there || time.Now().After(limit) {
			return fd, err
		}
		time.Sleep(time.Millisecond)
	}
}

// Exists reports whether there is a directory with s's name. A link to a directory counts,
// because service directories are often linked into a scan directory.
func (s Service) Exists() (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(s.In.Fd(), s.Name, &st, 0)
	if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
		return false, nil
	}
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR, s.fail("stat", "", err)
}
