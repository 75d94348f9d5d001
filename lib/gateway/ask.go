//go:build linux

package gateway

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"hermes-s6/lib/fail"
	"hermes-s6/lib/manager"
	"hermes-s6/lib/par"
)

// request has the registrar do what we may not do, and passes its warnings on. From warnings
// that begin with kept it returns the rest instead.
func (m *Manager) request(answer any, kept, verb string, args ...string) (rest string, err error) {
	a, err := m.Registrar.Ask(verb, append([]string{"--json"}, args...)...)
	for _, w := range a.Warnings {
		if text, ok := strings.CutPrefix(w.Error(), kept); ok && kept != "" {
			rest = text
		} else {
			m.Warn("%v", w)
		}
	}
	if err != nil {
		return rest, err
	}
	if e := json.Unmarshal(a.Stdout, answer); e != nil {
		err = fail.Errorf(fail.Program, "registrar: unreadable answer: %w", e)
	}
	return rest, err
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// ask is Register through the registrar.
func (r *registration) ask() (Registered, error) {
	if r.Recorded {
		if _, err := r.recorded(); err != nil {
			return Registered{}, err
		}
	}
	if r.Settings.Command != "" {
		return Registered{}, fail.Errorf(fail.System, "--command: only root may choose it")
	}
	args := []string{"--timeout", milliseconds(r.Timeout)}
	if r.Settings.Port != 0 {
		args = append(args, "--port", strconv.Itoa(r.Settings.Port))
	}
	if r.Settings.Dialect != "" {
		args = append(args, "--dialect", string(r.Settings.Dialect))
	}
	for _, key := range r.Settings.Keys() {
		args = append(args, "--env", key+"="+string(r.Settings.Env[key]))
	}
	for flag, set := range map[string]bool{"--down": r.Down, "--keep": r.Keep, "--replace": r.Replace, "--wait": r.Wait, "--ready": r.Ready} {
		if set {
			args = append(args, flag)
		}
	}
	var answer struct {
		ServiceDir string `json:"servicedir"`
		Action     string `json:"action"`
		Supervised bool   `json:"supervised"`
		Port       int    `json:"port"`
		Affected   bool   `json:"restart_needed"`
	}
	_, err := r.request(&answer, "", AskRegister, append(args, "--", r.name)...)
	return Registered{Path: answer.ServiceDir, Action: answer.Action, Port: answer.Port, Supervised: answer.Supervised, Affected: answer.Affected}, err
}

// asksAtOnce leaves connections to the service for others: it accepts 30 per account.
const asksAtOnce = 8

// askUnregister is Unregister through the registrar, which takes one name at a time. It asks
// for several at once, or the last one would wait for all others to stop.
func (m *Manager) askUnregister(names []string, timeout time.Duration) []manager.Outcome {
	names = slices.Compact(slices.Sorted(slices.Values(names))) // as when root does it
	outcomes := make([]manager.Outcome, len(names))
	par.AtOnce(len(names), asksAtOnce, func(i int) { outcomes[i] = m.askUnregisterOne(names[i], timeout) })
	return outcomes
}

func (m *Manager) askUnregisterOne(name string, timeout time.Duration) manager.Outcome {
	if there, err := m.ScanDir.Exists(name); err == nil && !there {
		return manager.Outcome{Name: name, Action: manager.Absent, Err: m.forget(name)}
	}
	var answer struct {
		Action string `json:"action"`
	}
	killed, err := m.request(&answer, "profile "+name+": killed ", AskUnregister, "--timeout", milliseconds(timeout), "--", name)
	return manager.Outcome{Name: name, Action: answer.Action, Killed: killed, Err: err}
}
