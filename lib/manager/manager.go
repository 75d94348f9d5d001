package manager

import (
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/profile"
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
	// SupportsRegistration tells whether Register and Unregister do anything;
	// where not, they have exit code 103.
	SupportsRegistration() bool
	Register(name string, r Registration) (Registered, error)
	Unregister(names []string, timeout time.Duration) ([]Outcome, error)
	// List returns the names of those that were registered, sorted.
	List() ([]string, error)
}

// Options are those of a command to gateways.
type Options struct {
	Wait    bool          // until they are up (ready, where that is known) or down
	Timeout time.Duration // for all of them; 0: no limit
	// Drain is how long gateways with agents at work get to end instead, 0 where
	// Timeout is for those as well.
	Drain  time.Duration
	Intent Intent
	// Progress is called while gateways are waited for.
	Progress func(done, total int)
}

// An Intent records what an operator wants of gateways. That it cannot is no reason
// not to do it.
type Intent interface {
	// PlanStop is called before the gateway that runs as pid is told to stop for good.
	PlanStop(name string, pid int)
	// Record is called when a gateway has been given its command, before anything is
	// waited for.
	Record(name string)
	// Confirm is called when all is done, if what was asked for still holds: a gateway
	// may have replaced the record by what it had read before.
	Confirm(name string)
}

// An Outcome is what became of one gateway.
type Outcome struct {
	Name   string
	Action string // Started and so on; "" where Err is not nil
	Killed string // what did not go by itself and was killed, "" for nothing
	PID    int    // of what runs now, 0 where that is not known, or nothing does
	Err    error
}

// What can become of a gateway.
const (
	Started   = "started"
	Stopped   = "stopped"
	Restarted = "restarted"
	Removed   = "removed"
	Absent    = "absent"
)

// A Registration is what is asked for when a gateway is registered.
type Registration struct {
	Settings profile.Settings
	// Recorded asks for what is on record instead of Settings: one that is no use is
	// an error then, and not moved aside.
	Recorded bool
	Down     bool // do not start it
	Keep     bool // leave one that is there
	Replace  bool // bring one that is there to this definition
	Wait     bool // until it is up
	Timeout  time.Duration
}

// Registered is what Register did.
type Registered struct {
	Path       string // of the service directory
	Action     string
	Port       int
	Supervised bool
	// Affected is set where the gateway that runs is another than was asked
	// for, until its next start.
	Affected bool
}

// unregistrable is for managers whose services others install.
type unregistrable struct{ kind Kind }

func (u unregistrable) SupportsRegistration() bool { return false }
func (u unregistrable) List() ([]string, error)    { return nil, nil }

func (u unregistrable) Register(string, Registration) (Registered, error) {
	return Registered{}, NoSlots(u.kind)
}

func (u unregistrable) Unregister([]string, time.Duration) ([]Outcome, error) {
	return nil, NoSlots(u.kind)
}

// NoSlots is why nothing can be registered with kind.
func NoSlots(kind Kind) error {
	if kind == None {
		return fail.Errorf(fail.Unsupported, "service manager: none was found; for an s6 scan directory of your own, name it with --scandir")
	}
	return fail.Errorf(fail.Unsupported, "service manager %s: it has no slots; for an s6 scan directory of your own, set HERMES_SERVICE_MANAGER=s6", kind)
}
