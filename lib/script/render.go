//go:build linux

package script

import (
	"strconv"
	"strings"

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
	TypeFile    = "type"
	RunFile     = "run"
	FinishFile  = "finish"
	DownFile    = "down"
	TimeoutFile = "timeout-finish"
	LogDir      = "log"
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
		{TypeFile, 0o644, "longrun\n"},
		{RunFile, runMode, run(d, words)},
		{FinishFile, 0o755, finish(d)},
		{TimeoutFile, 0o644, finishTimeout + "\n"},
		{LogDir + "/" + RunFile, 0o755, log(d)},
	}
	if d.Down {
		files = append(files, File{DownFile, 0o644, ""})
	}
	return files
}

// variables are what run exports before --env, in order.
func (d *Definition) variables() [][2]string {
	port := strconv.Itoa(d.Port)
	vars := [][2]string{
		{"HOME", d.Account.Home},
		{"HERMES_S6_SUPERVISED_CHILD", "1"},
		{ChildVariable, "1"},
		{portVariable, port},
		{SlotVariable, d.slot()},
	}
	if d.PortEnv != "" {
		vars = append(vars, [2]string{d.PortEnv, port})
	}
	return vars
}

func (d *Definition) slot() string { return d.ScanDir + "/" + profile.Slot(d.Profile) }

// SlotVariable is in the environment of each gateway and, unless it sees to that, of
// what it starts: the path of its slot.
const SlotVariable = "HERMES_GATEWAY_SLOT"

// ChildVariable tells a gateway that it is supervised.
const ChildVariable = "HERMES_SUPERVISED_CHILD"

// FenceVariable says in the environment of each program from run to the gateway how
// the process stands to its fence (see package fence): it has the words of the fence
// until hermes-fence has looked, "" where there is none, and after that one of these.
const (
	FenceVariable = "HERMES_GATEWAY_FENCE"
	FenceDelays   = "delays"  // it leaves the fence to others for a while
	FenceWaits    = "waits"   // it waits for the fence
	FenceHeld     = "held"    // it has taken the fence
	FenceNone     = "without" // there is none to be had, and it runs without
)

// fenceProgram is the last link before the gateway's own command.
const fenceProgram = "hermes-fence"

// fence returns the words that come after fenceProgram.
func (d *Definition) fence() string {
	if d.Standby {
		return "--standby " + d.Profile
	}
	return d.Profile
}

// findFence is sh that puts fenceProgram into $fence, "" where there is to be none. One
// that is missing must not keep all gateways down: 127 would. It is looked for before
// --env can change PATH.
const findFence = `fence=
if [ "${HERMES_FENCE:-}" != off ]; then
	fence=$(command -v ` + fenceProgram + `) || echo "` + fenceProgram + `: not found: the gateway runs without a fence" >&2
	case $fence in *[!0-9A-Za-z/._+-]*) fence=` + fenceProgram + ` ;; esac
fi`

// portVariable tells a gateway its port.
const portVariable = "HERMES_GATEWAY_PORT"

// Port returns the port that the run script run exports, 0 where there is none to be
// found. Both dialects say export, and then = or a blank.
func Port(run string) int {
	_, rest, ok := strings.Cut(run, "export "+portVariable)
	if !ok || rest == "" {
		return 0
	}
	digits, _, _ := strings.Cut(rest[1:], "\n")
	port, _ := strconv.Atoi(digits)
	return port
}

// MaxSize is more than a script of ours can be: values of a megabyte in all,
// with each byte quoted by five.
const MaxSize = 6 << 20

// user are the variables that --env asked for, in the order of their keys.
func (d *Definition) user() [][2]string {
	var vars [][2]string
	for _, key := range d.Settings.Keys() {
		vars = append(vars, [2]string{key, string(d.Settings.Env[key])})
	}
	return vars
}

// scrubbed tells whether d's gateway is kept from variables of the container. They are
// meant for the root profile; API_SERVER_PORT, say, would have all gateways fight for
// one port.
func (d *Definition) scrubbed() bool { return d.Profile != profile.Default }

// scrub takes the variables out of the environment whose names match a glob of
// HERMES_PROFILE_SCRUB. It does so when the gateway starts, since the container's
// environment is not there before; as the account; and before --env is exported, which
// therefore stays. It is in sh in both dialects, since execline has no program that
// goes by variables' names.
//
// A line of env that is within a value may look like a variable of its own: then its
// name is that of none, which is no loss, or of one that is to go anyway. A name that
// sh cannot have is not seen; most shells do not pass such a variable on.
const scrub = `if [ "${HERMES_PROFILE_SCRUB:-}" != none ]; then
	scrub_names=$(command -p env | LC_ALL=C command -p sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p')
	set -f
	IFS=', '
	for scrub_glob in ${HERMES_PROFILE_SCRUB:-API_SERVER_*}; do
		unset IFS
		for scrub_name in $scrub_names; do
			case $scrub_name in
			HERMES_HOME | PATH) ;; # without them it would be another's gateway, or none
			$scrub_glob) unset "$scrub_name" ;;
			esac
		done
	done
	set +f
	unset IFS scrub_names scrub_glob scrub_name
fi`

// Drops tells whether the scripts need to leave root behind. Where the account
// is root itself there is nothing to drop to.
func (d *Definition) Drops() bool { return d.Account.UID != 0 }

// venv is where the image has the hermes program.
const venv = "/opt/hermes/.venv/bin"

// prefixVariable is 0 for lines in the container's log that do not begin with the
// profile's name (s6-log's p directive).
const prefixVariable = "HERMES_LOG_PREFIX"

// logArgs are s6-log's, before the directory, and after the container's log: ten files of
// 1 MB, with ISO 8601 time stamps.
const logArgs = "n10 s1000000 T"

// basePath is where a gateway's programs are if nobody says.
const basePath = "/usr/bin:/bin"

// What the first lines of the scripts say they are.
const (
	runTitle    = "The gateway"
	finishTitle = "Whether and when to restart the gateway"
	logTitle    = "The log"
)
