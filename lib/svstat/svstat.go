//go:build linux

// Package svstat knows what gateways are doing. It makes one State from what s6 keeps in a
// service directory, what the home records and what the root profile's gateway says about
// itself. A table, JSON and the fields of s6-svstat print that State and decide nothing.
// Package s6 knows how s6 writes its files, package command which services are asked about.
package svstat

import (
	"cmp"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/fence"
	"hermes-s6/lib/gateway"
	"hermes-s6/lib/par"
	"hermes-s6/lib/profile"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/script"
)

// Asked is a service that is asked about.
type Asked struct {
	Name    string // the profile's, or the service directory's
	Gateway bool   // it is a profile's gateway, not another service
	s6.Service
}

// A Depth says how much is read of each service. Other values of the State are unknown.
type Depth int

const (
	Status Depth = iota // what s6-svstat would say
	Table               // and what is on record, the deaths, the next start
	Object              // and whether it is normally up
)

// A Reader reads states.
type Reader struct {
	Programs s6.Programs
	// OpenHome is called once, if the home makes a difference.
	OpenHome func() (*profile.Home, error)
	once     sync.Once
	opened   *profile.Home
}

// home returns the home, or nil if there is none. Then nothing is on record.
func (r *Reader) home() *profile.Home {
	r.once.Do(func() { r.opened, _ = r.OpenHome() })
	return r.opened
}

// Close closes the home.
func (r *Reader) Close() { r.opened.Close() }

// Reopen makes the next read open the home anew.
func (r *Reader) Reopen() {
	r.Close()
	r.opened, r.once = nil, sync.Once{}
}

// A facts is what was read of a service.
type facts struct {
	Asked
	status     s6.Status
	normallyUp bool
	died       bool // its death tally is not empty; not read if it has been up for long
	deaths     int  // those that count, within deathSpan
	next       int  // in how many seconds it is started again; 0 if it does not wait
	desired    string
	linked     error        // its profile's directory is a link, and desired is not known
	self       profile.Self // what it, or an earlier process of it, says about itself
	believed   bool         // the present process said it
	fence      fence.State  // of a gateway that is up and does not hold it
	standing   fence.Standing
	served     bool // it is down, and the root profile's gateway does its work
}

// Read returns the states of the services asked about, and an error for each one that does not
// exist (exit code 102) or that cannot be read.
func (r *Reader) Read(services []Asked, depth Depth) ([]State, []error) {
	states, errs := r.each(services, depth)
	there := states[:0]
	for i := range states {
		if errs[i] == nil {
			there = append(there, states[i])
		}
	}
	return there, slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// each returns a state or an error for each of the services.
func (r *Reader) each(services []Asked, depth Depth) ([]State, []error) {
	read := make([]facts, len(services))
	errs := make([]error, len(services))
	par.Do(len(services), func(i int) {
		read[i].Asked = services[i]
		errs[i] = r.read(&read[i], depth)
	})
	r.markServed(read, errs)
	states := make([]State, len(read))
	for i := range read {
		if errs[i] == nil {
			states[i] = derive(&read[i])
		}
	}
	return states, errs
}

func (r *Reader) read(f *facts, depth Depth) error {
	err := f.readStatus(r.Programs)
	if err == nil && depth >= Object {
		f.normallyUp, err = f.NormallyUp()
	}
	if err != nil || depth < Table {
		return err
	}
	if f.Gateway {
		r.readRecord(f)
	}
	return f.readDeaths()
}

func (f *facts) readStatus(p s6.Programs) (err error) {
	if f.In != nil {
		if f.status, err = f.Service.Status(p); f.status.Supervised {
			return err
		}
		// A service with a supervisor exists, so this is not checked.
		if there, e := f.Exists(); e != nil || there {
			return cmp.Or(err, e)
		}
	}
	if f.Gateway {
		return gateway.NoSuchGateway(f.Name)
	}
	return fail.Errorf(fail.Absent, "no such service directory '%s'", f.Service.Name)
}

// readRecord reads what the home has on record, and how long finish waits.
func (r *Reader) readRecord(f *facts) {
	f.next = script.NextStart(f.Service, &f.status)
	home := r.home()
	if home == nil {
		return
	}
	record, self := home.Says(f.Name)
	f.self = self
	if f.desired = record.Desired; f.desired == "" {
		f.linked = home.Linked(f.Name)
	}
	if f.status.Up() {
		at, path := home.At(f.Name, fence.File)
		f.fence, _ = fence.Look(at, path, f.status.PID) // without one it has none
		f.standing = f.fence.Of(f.status.PID)
		// Behind a stand-by no gateway runs yet, so another process wrote what is there.
		f.believed = f.standing != fence.StandsBy && f.self.PID == f.status.PID && f.self.By(profile.TargetOf(f.status.PID))
	}
}

// deathSpan is the "last minute" of the table and of deaths in JSON.
const deathSpan = time.Minute

func (f *facts) readDeaths() error {
	if f.status.Up() && f.status.Dated() && f.status.Seconds() > uint64(deathSpan/time.Second) {
		return nil // it did not die since
	}
	deaths, err := f.Deaths()
	f.died = len(deaths) > 0
	if f.Gateway {
		deaths = slices.DeleteFunc(deaths, func(d s6.Death) bool { return !script.IsCrash(d.Code) })
	}
	f.deaths = s6.DeathsWithin(deaths, f.status.Now, deathSpan)
	return err
}

// markServed finds out which services are down because the root profile's gateway, in the same
// scan directory, serves all profiles. Only that gateway knows, and it is asked only if the
// answer makes a difference.
func (r *Reader) markServed(all []facts, errs []error) {
	served := map[s6.Service]map[string]bool{}
	for i := range all {
		f := &all[i]
		if errs[i] != nil || !f.Gateway || f.status.Supervised && f.status.Up() {
			continue
		}
		root := s6.Service{In: f.In, Name: filepath.Join(filepath.Dir(f.Service.Name), profile.Slot(profile.Default))}
		names, asked := served[root]
		if !asked {
			names = r.servedBy(&root)
			served[root] = names
		}
		f.served = names[f.Name]
	}
}

// servedBy asks root, the root profile's gateway, if it is up.
func (r *Reader) servedBy(root *s6.Service) map[string]bool {
	home := r.home() // without a home nothing says so
	status, err := root.Status(r.Programs)
	if err != nil || home == nil || !status.Supervised || !status.Up() {
		return nil
	}
	return home.Served(profile.TargetOf(status.PID))
}
