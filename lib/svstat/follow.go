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

// A Follower reports each change of a gateway's state. It uses only inotify, so it is idle
// while nothing changes. An event only says where to look; what counts is what is there then.
type Follower struct {
	*Reader
	// Services are the services to follow. One without an In is in the scan directory.
	Services []Asked
	// All also follows every gateway of the scan directory, and those to come.
	All bool
	// Open opens the scan directory, or returns nil if there is none. ScanPath and HomePath
	// are the paths of the scan directory and the home. Both are looked for again when they
	// disappear.
	Open               func() (*dir.Dir, error)
	ScanPath, HomePath string
	Depth              Depth
	// Ages is for a viewer: values that change with time, without an event, are refreshed
	// while there are any, see ages.
	Ages bool
	// Shown returns the part of s that is shown and does not change with time alone.
	Shown func(s *State) string
	// Changed gets what has changed: first of all everything, even if it is empty.
	Changed func([]Change) error
	// Failed gets the errors of what cannot be read, Warn the Follower's own problems.
	Failed func(error)
	Warn   func(format string, args ...any)
	// Out is watched for its reader to go away. Wake ends a wait when it is readable, and
	// Woken is called. A negative descriptor is ignored.
	Out, Wake int
	Woken     func() error

	scan   *dir.Dir // nil if there is none
	all    map[string]*followed
	order  []*followed     // by name, or in the order in which they were asked for
	root   *followed       // the root profile's gateway, asked for or not; nil if it makes no difference
	served map[string]bool // by the root profile's gateway
	watch  *watches
	scans  bool // something in the scan directory is asked for
	// The scan directory or the home, and all that is in it, may have been replaced.
	reopen, rehome bool
	trouble        string    // the last reported reason why there is no scan directory
	whole          time.Time // when everything was last looked at, zero for never
	next           time.Time // when it is next, if inotify misses something
}

// A Change is a state that differs from the previous one.
type Change struct {
	Name  string
	Path  string // of the service directory
	State *State // nil: it is gone
}

// ErrUnread is returned by Run when the reader of its output is gone.
var ErrUnread = errors.New("nobody reads it")

// followed is what a Follower knows about one service.
type followed struct {
	Asked
	watched // its directories
	hidden  bool
	there   bool // it was reported last, and not as gone
	shown   string
	state   State
	err     string    // the last reported error
	rewatch bool      // its directories may have been replaced
	due     time.Time // when it is looked at again, zero for not before an event
	looked  time.Time
	tries   int // how often it was looked at because its process was still on its way
}

const (
	// settle is how long a change may take: a death changes several files.
	settle = 50 * time.Millisecond
	// pace is the minimum time between two looks at one service. For a service that changes
	// faster, some intermediate states are reported, and the final one.
	pace = 250 * time.Millisecond
	// interval is how often everything is looked at if inotify misses something.
	interval = 5 * time.Second
	// aging is how often a service is looked at if some of its values change with time.
	aging = time.Second
	// onTheWay and tries: a process that has not yet reached its fence is looked at again
	// after this time, then after twice as long each time. Nothing announces the last step on
	// its way, a change of its environment.
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

// hiddenRoot returns the root profile's gateway, for the case that it is not asked for.
func hiddenRoot() *followed {
	return &followed{Asked: GatewayAsked(profile.Default), hidden: true, rewatch: true}
}

// follow begins to follow a service. A service that is asked for twice is reported once.
func (f *Follower) follow(a Asked) *followed {
	e := f.all[a.Service.Name]
	if e == nil {
		e = &followed{Asked: a, rewatch: true}
		f.all[a.Service.Name] = e
		f.order = append(f.order, e)
	}
	return e
}

// await waits until something is due. It records events meanwhile, in batches that last as
// long as a change takes, or a file that is written all the time would keep us busy all the time.
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

// wait waits until one of fds is readable, or until due.
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

// due returns when there is something to do, zero for not before an event.
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

// happened records that something may have happened to e.
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

// again records when e, which was looked at now, is to be looked at without an event.
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

// unsettled reports whether e's process is on its way to its fence, or through it.
func (e *followed) unsettled() bool {
	of := e.state.of
	return of != nil && e.state.Up && (of.standing == fence.Coming || of.standing == fence.StandsBy && !of.fence.Held)
}

// States returns all existing services' states, as last reported.
func (f *Follower) States() []State {
	var states []State
	for _, e := range f.order {
		if e.there {
			states = append(states, e.state)
		}
	}
	return states
}
