package manager

import (
	"time"

	"hermes-s6/lib/fail"
)

// A ServiceManager runs gateways, which it knows by the names of their profiles.
// Where it is given several, commands go out to all before it waits for any, and
// outcomes are in the order of the names.
type ServiceManager interface {
	Start(names []string, o Options) []Outcome
	Stop(names []string, o Options) []Outcome
	// Restart waits in any case: it ends with each gateway up under a new pid.
	Restart(names []string, o Options) []Outcome
	// Running tells whether a gateway is up, and its pid, 0 where that is not
	// known. Exit code 102 where there is no such gateway.
	Running(name string) (pid int, up bool, err error)
	// SupportsRegistration tells whether gateways are registered with it, so that
	// List has them.
	SupportsRegistration() bool
	// List returns the names of those that were registered, sorted.
	List() ([]string, error)
	// Close closes what it works on.
	Close()
}

// Options are those of a command to gateways.
type Options struct {
	Wait    bool          // until they are up (ready, where that is known) or down
	Ready   bool          // with Wait: until they are ready
	Timeout time.Duration // for all of them; 0: no limit
	// Drain is how long gateways with agents at work get to end instead, 0 where
	// Timeout is for those as well.
	Drain time.Duration
	// Here is set where this is about this container as it is: what runs elsewhere is not
	// waited for, and what has no slot gets none.
	Here   bool
	Intent Intent
	// Progress is called while gateways are waited for.
	Progress func(done, total int)
}

// An Intent records what an operator wants of gateways. Where it cannot, what he wants is
// done all the same.
type Intent interface {
	// PlanStop is called before the gateway that runs as pid is told to stop for good.
	PlanStop(name string, pid int)
	// Record is called just before a gateway is given its command.
	Record(name string)
	// Confirm is called when all is done, if what was asked for still counts: a gateway
	// may have replaced the record by what it had read before.
	Confirm(name string)
}

// An Outcome is what became of one gateway.
type Outcome struct {
	Name     string
	Action   string // Started and so on; "" where Err is not nil
	Killed   string // what did not go by itself and was killed, "" for nothing
	StandsBy string // who runs it, while what was started here stands by; "" where it does not
	PID      int    // of what runs now, 0 where that is not known, or nothing does
	Err      error
}

// What can become of a gateway.
const (
	Started   = "started"
	Stopped   = "stopped"
	Restarted = "restarted"
	StoodBy   = "standby"
	Removed   = "removed"
	Absent    = "absent"
)

// NoSlots is why nothing can be registered with kind.
func NoSlots(kind Kind) error {
	if kind == None {
		return fail.Hint(fail.Errorf(fail.Unsupported, "no service manager found"), "for an s6 scan directory of your own, name it with --scandir")
	}
	return fail.Hint(fail.Errorf(fail.Unsupported, "service manager %s: not s6, so there are no slots", kind),
		"for an s6 scan directory of your own, set HERMES_SERVICE_MANAGER=s6")
}
