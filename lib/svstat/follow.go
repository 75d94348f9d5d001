//go:build linux

package svstat

import (
	"errors"
	"time"

	"hermes-s6/lib/dir"
	"hermes-s6/lib/fence"
	"hermes-s6/lib/inotify"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
)

// A Follower tells of each change of a gateway's state, by inotify alone: with nothing to
// do it does nothing. An event only says where to look; what counts is what is there then.
type Follower struct {
	*Reader
	// Services are those that are followed. One without an In is in the scan directory.
	Services []Asked
	// All is for every gateway of the scan directory, besides, and for those to come.
	All bool
	// Open opens the scan directory, nil where there is none. ScanPath is where that is,
	// HomePath where the home is; both are looked for again where they go.
	Open               func() (*dir.Dir, error)
	ScanPath, HomePath string
	Depth              Depth
	// Ages is for one who looks on: what changes as time goes by, without an event, is
	// looked at again while there is such a thing, see ages.
	Ages bool
	// Shown returns what is shown of s and does not change by time alone.
	Shown func(s *State) string
	// Changed is told what is another than before: first of all, however little.
	Changed func([]Change) error
	// Failed is told of what cannot be read, and Warn of the Follower's own troubles.
	Failed func(error)
	Warn   func(format string, args ...any)
	// Out is looked at for whether anybody reads it; Wake ends a wait when it is
	// readable, for Woken. Below 0 they are none.
	Out, Wake int
	Woken     func() error

	scan   *dir.Dir // nil where there is none
	all    map[string]*followed
	order  []*followed     // by name, or as they were asked for
	root   *followed       // the root profile's gateway, whether asked for or not; nil where it makes no difference
	served map[string]bool // by the root profile's gateway
	watch  *watches
	scans  bool // something is asked for that is in the scan directory
	// The scan directory or the home may be another, and so all that is in it.
	reopen, rehome bool
	trouble        string    // why there is no scan directory, as it was said last
	whole          time.Time // when all was looked at last, zero for never
	next           time.Time // when it is to be, where inotify does not tell all
}

// A Change is a state that is another than before.
type Change struct {
	Name  string
	Path  string // of the service directory
	State *State // nil: it is gone
}

// ErrUnread is Run's answer when nobody is left who reads what is said.
var ErrUnread = errors.New("nobody reads it")

// followed is what a Follower knows of one service.
type followed struct {
	Asked
	watched // its directories
	hidden  bool
	there   bool // it was told of last, and not that it is gone
	shown   string
	state   State
	err     string    // what was said last that could not be read
	rewatch bool      // its directories may be others
	due     time.Time // when it is looked at again, zero for when something happens
	looked  time.Time
	tries   int // how often it was looked at because its process was on its way
}

const (
	// settle is how long a change may take: a death is several files.
	settle = 50 * time.Millisecond
	// pace is how long there is at least between two looks at one service. One that
	// changes faster is told of as it is then, and as it is in the end.
	pace = 250 * time.Millisecond
	// interval is how often all is looked at where inotify cannot tell.
	interval = 5 * time.Second
	// aging is how often one is looked at of which some numbers go by the time.
	aging = time.Second
	// onTheWay and tries: so soon, and twice as late each time, we look again at the
	// process of a gateway that has not come to its fence. The last it does on the way,
	// it changes its environment, tells nobody.
	onTheWay = 100 * time.Millisecond
	tries    = 5
)

// Run follows until it cannot go on.
func (f *Follower) Run() error {
	f.all, f.watch = map[string]*followed{}, newWatches()
	f.scans = f.All
	for _, a := range f.Services {
		f.follow(a)
		f.scans = f.scans || a.In == nil
	}
	if f.scans && f.Depth >= Table {
		if f.root = f.all[profile.Slot(profile.Default)]; f.root == nil {
			f.root = hiddenRoot()
		}
	}
	f.reopen, f.rehome = true, true
	for {
		if err := f.look(time.Now()); err != nil {
			return err
		}
		if err := f.await(); err != nil {
			return err
		}
	}
}

// GatewayAsked asks about the gateway of profile name, in the scan directory.
func GatewayAsked(name string) Asked {
	return Asked{Name: name, Gateway: true, Service: s6.Service{Name: profile.Slot(name)}}
}

// hiddenRoot is the root profile's gateway where it is not asked for.
func hiddenRoot() *followed {
	return &followed{Asked: GatewayAsked(profile.Default), hidden: true, rewatch: true}
}

// follow begins to follow a service. One that is asked for twice is told of once.
func (f *Follower) follow(a Asked) *followed {
	e := f.all[a.Service.Name]
	if e == nil {
		e = &followed{Asked: a, rewatch: true}
		f.all[a.Service.Name] = e
		f.order = append(f.order, e)
	}
	return e
}

// await waits until something is due. What happens meanwhile is taken note of in lots, of
// as long as a change takes: whoever writes all the time would have us read all the time
// else.
func (f *Follower) await() error {
	for {
		if err := f.wait(f.due(), f.watch.FD); err != nil {
			return err
		}
		now := time.Now()
		f.watch.read(f, now)
		due := f.due()
		if !due.IsZero() && !now.Before(due) {
			return nil
		}
		if end := now.Add(settle); due.IsZero() || end.Before(due) {
			due = end
		}
		if err := f.wait(due); err != nil {
			return err
		}
	}
}

// wait waits until one of fds is readable, or it is due.
func (f *Follower) wait(due time.Time, fds ...int) error {
	unread, err := inotify.Await(due, f.Out, append(fds, f.Wake)...)
	if unread && err == nil {
		err = ErrUnread
	}
	if err == nil && f.Wake >= 0 && inotify.Signalled(f.Wake) {
		err = f.Woken()
	}
	return err
}

// due returns when there is something to do, zero for when something happens.
func (f *Follower) due() (due time.Time) {
	earlier := func(at time.Time) {
		if !at.IsZero() && (due.IsZero() || at.Before(due)) {
			due = at
		}
	}
	earlier(f.next)
	if f.reopen || f.rehome {
		earlier(f.whole.Add(pace))
	}
	if f.root != nil {
		earlier(f.root.due)
	}
	for _, e := range f.order {
		earlier(e.due)
	}
	return due
}

// happened notes that something may have happened to e.
func (e *followed) happened(now time.Time) {
	at := now.Add(settle)
	if next := e.looked.Add(pace); next.After(at) {
		at = next
	}
	if e.due.IsZero() || at.Before(e.due) {
		e.due = at
	}
	e.tries = 0
}

// again notes when e, which was looked at now, is to be looked at without being told.
func (f *Follower) again(e *followed, now time.Time) {
	s := &e.state
	switch {
	case e.unsettled() && e.tries < tries:
		e.due = now.Add(onTheWay << e.tries)
		e.tries++
	case f.Ages && (s.Deaths > 0 || s.NextStart > 0):
		e.due = now.Add(aging)
	}
}

// unsettled tells whether its process is on its way to its fence, or through it.
func (e *followed) unsettled() bool {
	of := e.state.of
	return of != nil && e.state.Up && (of.standing == fence.Coming || of.standing == fence.StandsBy && !of.fence.Held)
}

// States returns all that is there, as it was told of last.
func (f *Follower) States() []State {
	var states []State
	for _, e := range f.order {
		if e.there {
			states = append(states, e.state)
		}
	}
	return states
}
