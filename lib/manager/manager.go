package manager

import (
	"time"

	"hermes-s6/lib/fail"
)

// A ServiceManager runs gateways, which it knows by the names of their profiles. With several
// names, it commands all gateways before it waits for any. Outcomes are in the order of the names.
type ServiceManager interface {
	Start(names []string, o Options) []Outcome
	Stop(names []string, o Options) []Outcome
	// Restart always waits: it ends with each gateway up under a new pid.
	Restart(names []string, o Options) []Outcome
	// Running reports whether a gateway is up, and its pid, 0 if that is unknown. It fails
	// with exit code 102 if there is no such gateway.
	Running(name string) (pid int, up bool, err error)
	// SupportsRegistration reports whether gateways are registered with this manager, so that
	// List returns them.
	SupportsRegistration() bool
	// List returns the names of the registered gateways, sorted.
	List() ([]string, error)
	// Close releases what the manager works on.
	Close()
}

// Options are the options of a command to gateways.
type Options struct {
	Wait    bool          // until they are up (ready, if that is known) or down
	Ready   bool          // with Wait: until they are ready
	Timeout time.Duration // for all of them; 0: no limit
	// Drain is how long gateways with active agents get instead to end. If it is 0, Timeout
	// applies to them as well.
	Drain time.Duration
	// Here limits a command to this container as it is: it does not wait for what runs
	// elsewhere, and makes no missing slot.
	Here   bool
	Intent Intent
	// Progress is called while gateways are waited for.
	Progress func(done, total int)
}

// An Intent records what an operator wants of gateways. If it cannot, the command is executed
// all the same.
type Intent interface {
	// PlanStop is called before the gateway that runs as pid is told to stop for good.
	PlanStop(name string, pid int)
	// Record is called just before a gateway is given its command.
	Record(name string)
	// Confirm is called after the command, if what was asked for still counts: a gateway may
	// have replaced the record with an older one that it had read before.
	Confirm(name string)
}

// An Outcome is what became of one gateway.
type Outcome struct {
	Name     string
	Action   string // Started and so on; "" if Err is not nil
	Killed   string // what did not end by itself and was killed, "" for nothing
	StandsBy string // the holder that runs it while the gateway started here stands by; "" if it does not
	PID      int    // of what runs now, 0 if that is unknown, or nothing runs
	Err      error
}

// Values of Outcome.Action.
const (
	Started   = "started"
	Stopped   = "stopped"
	Restarted = "restarted"
	StoodBy   = "standby"
	Removed   = "removed"
	Absent    = "absent"
)

// NoSlots returns the error for registering something with kind.
func NoSlots(kind Kind) error {
	if kind == None {
		return fail.Hint(fail.Errorf(fail.Unsupported, "no service manager found"), "for an s6 scan directory of your own, name it with --scandir")
	}
	return fail.Hint(fail.Errorf(fail.Unsupported, "service manager %s: not s6, so there are no slots", kind),
		"for an s6 scan directory of your own, set HERMES_SERVICE_MANAGER=s6")
}
