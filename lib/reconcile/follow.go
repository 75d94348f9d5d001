//go:build linux

package reconcile

import (
	"time"

	"golang.org/x/sys/unix"

	"hermes-s6/lib/inotify"
	"hermes-s6/lib/profile"
)

// A Follower keeps slots and home in step: it looks at the profiles that may have changed,
// and has a Plan do what a run would do for those that have.
type Follower struct {
	// Open returns a plan for one look, on the home that is there then.
	Open func() (*Plan, error)
	// Prepare makes it ready to do something.
	Prepare func(*Plan) error
	// Interval is how often all profiles are looked at: another machine's changes
	// nobody tells.
	Interval time.Duration
	// PruneDelay is for how long a profile must have been gone to lose its slot.
	PruneDelay time.Duration
	// Say is told what was done, Warn what was not.
	Say  func(Result) error
	Warn func(format string, args ...any)
	// Ready is called when the first look is done.
	Ready func() error

	watch    *watch
	profiles map[string]*followed
	home, in profile.ID // the home, and its profiles/, when all was well
	bare     bool       // nothing said that the home was one
	looked   time.Time  // when all profiles were looked at
	next     time.Time  // when they are again
	trouble  string     // why nothing could be done, when that was last said
	away     string     // why the home was not to be had, when that was last said
	limited  bool       // that not all is watched has been said
	known    int        // how many of profiles are, or were, when they were counted
	room     int        // how many others may be watched
}

// followed is what a Follower knows of a profile.
type followed struct {
	glance  *profile.Glance // nil: it is none, or is no more
	first   time.Time       // of the events since it was looked at, zero for none
	last    time.Time
	paid    time.Time // when it will have waited for all that was done for it
	missing time.Time // since when it is gone, zero where it is not
	slot    bool      // it had a slot before it was looked at
	said    string    // why nothing could be done
}

const (
	// quiet is for how long nothing has happened to a profile that somebody has done
	// with: one that is copied gets its files one after the other.
	quiet = 200 * time.Millisecond
	// latest is when it is looked at nevertheless.
	latest = 600 * time.Millisecond
	// lot is for how long events are left to gather.
	lot = 50 * time.Millisecond
	// pace is how often something is done for one profile, on the average: who asks for
	// something else just after he was obeyed does not wait so long.
	pace = time.Second
)

// known tells whether p is or was a profile.
func (p *followed) known() bool { return p.glance != nil || p.slot || !p.missing.IsZero() }

// pay notes that something was done for p.
func (p *followed) pay(now time.Time) {
	if p.paid.Before(now) {
		p.paid = now
	}
	p.paid = p.paid.Add(pace)
}

// Run follows until it is killed, or cannot go on.
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
		// Also where there is no home yet: a boot waits for us.
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

// await waits until something is due. What happens meanwhile is taken note of in lots:
// whoever writes all the time would have us look all the time else.
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

// changed notes that profile name may have changed; "" for all.
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

// due returns when there is something to do.
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
		// The first is on credit.
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
