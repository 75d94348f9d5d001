//go:build linux

package slot

import (
	"fmt"
	"strconv"

	"hermes-s6/lib/profile"
)

// A File is one file of a slot.
type File struct {
	Name string // relative to the slot
	Mode uint32
	Data string
}

// Names in a slot.
const (
	typeFile   = "type"
	runFile    = "run"
	finishFile = "finish"
	downFile   = "down"
	logDir     = "log"
)

// Render returns the files of the slot that d defines. It looks at nothing but
// d: the same definition gives the same bytes.
//
// The rules for what it writes:
//   - Until the drop to the account, every program is named by its absolute
//     path and nothing from --env is in the environment: PATH or LD_PRELOAD
//     would otherwise let the account choose what root runs.
//   - A run script with --env in it is not for the account to read, so it
//     cannot be opened again after the drop; sh hands it over open.
//   - Values come last or quoted, and are never expanded again.
func Render(d *Definition) []File {
	words, err := d.Settings.Words(d.Profile)
	if err != nil {
		panic(err) // Settings.Check was not asked
	}
	run, finish, log := shRun, shFinish, shLog
	if d.Execline() {
		run, finish, log = elRun, elFinish, elLog
	}
	runMode := uint32(0o755)
	if len(d.Settings.Env) > 0 {
		runMode = 0o700
	}
	files := []File{
		{typeFile, 0o644, "longrun\n"},
		{runFile, runMode, run(d, words)},
		{finishFile, 0o755, finish(d)},
		{logDir + "/" + runFile, 0o755, log(d)},
	}
	if d.Down {
		files = append(files, File{downFile, 0o644, ""})
	}
	return files
}

// variables are what run exports before --env, in order.
func (d *Definition) variables() [][2]string {
	port := strconv.Itoa(d.Port)
	vars := [][2]string{
		{"HOME", d.Account.Home},
		{"HERMES_S6_SUPERVISED_CHILD", "1"},
		{"HERMES_SUPERVISED_CHILD", "1"},
		{"HERMES_GATEWAY_PORT", port},
		{slotVariable, d.ScanDir + "/" + profile.Slot(d.Profile)},
	}
	if d.PortEnv != "" {
		vars = append(vars, [2]string{d.PortEnv, port})
	}
	return vars
}

// user are the variables that --env asked for, in the order of their keys.
func (d *Definition) user() [][2]string {
	var vars [][2]string
	for _, key := range d.Settings.Keys() {
		vars = append(vars, [2]string{key, string(d.Settings.Env[key])})
	}
	return vars
}

// drops tells whether the scripts need to leave root behind. Where the account
// is root itself there is nothing to drop to.
func (d *Definition) drops() bool { return d.Account.UID != 0 }

// venv is where the image has the hermes program.
const venv = "/opt/hermes/.venv/bin"

// logArgs are s6-log's, before the directory: to the container's log as well
// as to ten files of 1 MB, with ISO 8601 time stamps.
const logArgs = "n10 s1000000 T"

// basePath is where a gateway's programs are if nobody says.
const basePath = "/usr/bin:/bin"

// DefaultCrashLimit counts where HERMES_CRASH_LIMIT is not set or cannot be read.
const DefaultCrashLimit = "10/60"

func (d *Definition) limit() string {
	if d.Deaths == 0 {
		return "0"
	}
	return fmt.Sprintf("%d/%d", d.Deaths, d.Seconds)
}

// crashes are the exit codes that count as deaths for s6-permafailon; those by
// a signal are among them, as 128 plus its number (uplastup_z in
// s6-supervise.c).
const crashes = "1-255"

// What the first lines of the scripts say they are.
const (
	runTitle    = "The gateway"
	finishTitle = "Whether to restart the gateway"
	logTitle    = "The log"
)
