//go:build linux

package reconcile

import (
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/inotify"
	"hermes-s6/lib/profile"
)

// A Follower keeps slots and home in step. It looks at the profiles that may have changed, and
// for those that have changed, a Plan does what a run would do.
type Follower struct {
	// Open returns a plan for one look, on the home as it is then.
	Open func() (*Plan, error)
	// Prepare makes the plan ready to act.
	Prepare func(*Plan) error
	// Interval is how often all profiles are looked at. Without that, changes by another
	// machine would go unnoticed.
	Interval time.Duration
	// PruneDelay is how long a profile must have been gone before it loses its slot.
	PruneDelay time.Duration
	// Say reports what was done, Warn what was not.
	Say  func(Result) error
	Warn func(format string, args ...any)
	// Ready is called when the first look is done.
	Ready func() error

	watch    *watch
	profiles map[string]*followed
	home, in profile.ID // IDs of the home and its profiles/ when all was well
	bare     bool       // nothing indicated that the directory was a home
	looked   time.Time  // when all profiles were last looked at
	next     time.Time  // when all are looked at again
	trouble  string     // the last reported reason why nothing could be done
	away     string     // the last reported reason why the home was unavailable
	limited  bool       // it was reported that not everything is watched
	known    int        // how many of profiles are or were profiles, when last counted
	room     int        // how many others may be watched
}

// followed is what a Follower knows about a profile.
type followed struct {
	glance  *profile.Glance // nil: it is none, or no longer one
	first   time.Time       // of the events since it was last looked at, zero for none
	last    time.Time
	paid    time.Time // when it has waited long enough for all that was done for it
	missing time.Time // since when it is gone, zero if it is not
	slot    bool      // it had a slot before it was looked at
	said    string    // the last reported reason why nothing could be done
}

const (
	// quiet is how long a profile must be left alone before it is looked at: a profile that is
	// being copied gets its files one after the other.
	quiet = 200 * time.Millisecond
	// latest is when it is looked at even if it is not left alone.
	latest = 600 * time.Millisecond
	// lot is how long events are left to gather.
	lot = 50 * time.Millisecond
	// pace is how often something is done for one profile, on average. A second change right
	// after the first does not have to wait.
	pace = time.Second
)

// known reports whether p is or was a profile.
func (p *followed) known() bool { return p.glance != nil || p.slot || !p.missing.IsZero() }

// pay records that something was done for p.
func (p *followed) pay(now time.Time) {
	if p.paid.Before(now) {
		p.paid = now
	}
	p.paid = p.paid.Add(pace)
}

// Run follows until it is killed or cannot go on.
func (f *Follower) Run() error {
	f.profiles = map[string]*followed{}
	hup, err := inotify.OnSignal(unix.SIGHUP)
	if err != nil {
		return err
	}
	ready := false
	for {
		if err := f.look(); err != nil {
			return err
		}
		// Even without a home, because a boot waits for us.
		if !ready {
			if err := f.Ready(); err != nil {
				return err
			}
			ready = true
		}
		if err := f.await(hup); err != nil {
			return err
		}
	}
}

// await waits until something is due. It records events meanwhile, in batches, or a profile
// that is written all the time would keep us busy all the time.
func (f *Follower) await(hup int) error {
	for {
		if err := inotify.Poll(f.due(), f.watch.FD, hup); err != nil {
			return err
		}
		f.watch.read(f.changed)
		if inotify.Signalled(hup) {
			f.next = time.Time{}
		}
		now, due := time.Now(), f.due()
		if !now.Before(due) {
			return nil
		}
		if end := now.Add(lot); end.Before(due) {
			due = end
		}
		if err := inotify.Poll(due, hup); err != nil {
			return err
		}
	}
}

// changed records that profile name may have changed; "" means all profiles.
func (f *Follower) changed(name string) {
	if name == "" {
		if soon := f.looked.Add(pace); soon.Before(f.next) {
			f.next = soon
		}
		return
	}
	p := f.profiles[name]
	if p == nil {
		if len(f.profiles) >= f.known+maxStrangers {
			f.changed("")
			return
		}
		p = &followed{}
		f.profiles[name] = p
	}
	p.last = time.Now()
	if p.first.IsZero() {
		p.first = p.last
	}
}

// due returns when there is something to do next.
func (f *Follower) due() time.Time {
	due := f.next
	for _, p := range f.profiles {
		if at := p.due(f.PruneDelay); !at.IsZero() && at.Before(due) {
			due = at
		}
	}
	return due
}

// due returns when p is to be looked at, zero for not before all are.
func (p *followed) due(pruneDelay time.Duration) (at time.Time) {
	if !p.first.IsZero() {
		at = p.last.Add(quiet)
		if end := p.first.Add(latest); end.Before(at) {
			at = end
		}
		// The first one is on credit.
		if next := p.paid.Add(-pace); next.After(at) {
			at = next
		}
	}
	if !p.missing.IsZero() {
		if gone := p.missing.Add(pruneDelay); at.IsZero() || gone.Before(at) {
			at = gone
		}
	}
	return at
}
