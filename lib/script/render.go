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

// Render returns the files of the slot that d defines. It depends only on d: the same
// definition gives the same bytes.
//
// The rules for what it writes:
//   - Until the drop to the account, every program is named by its absolute path and
//     nothing from --env is in the environment. Otherwise PATH or LD_PRELOAD would let
//     the account choose what root runs.
//   - The account may not read a run script with --env in it, so the script cannot be
//     opened again after the drop; sh passes it on open.
//   - Values come last or quoted, and are never expanded again.
func Render(d *Definition) []File {
	words, err := d.Settings.Words(d.Profile)
	if err != nil {
		panic(err) // Settings.Check was not called
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

// SlotVariable holds the path of its slot in the environment of each gateway, and of the
// processes that the gateway starts, unless the gateway removes it.
const SlotVariable = "HERMES_GATEWAY_SLOT"

// ChildVariable tells a gateway that it is supervised.
const ChildVariable = "HERMES_SUPERVISED_CHILD"

// FenceVariable is in the environment of each program from run to the gateway. It says how the
// process stands to its fence (see package fence): until hermes-fence has looked, it has the
// words of the fence, "" if there is none, and after that one of these.
const (
	FenceVariable = "HERMES_GATEWAY_FENCE"
	FenceDelays   = "delays"  // it leaves the fence to others for a while
	FenceWaits    = "waits"   // it waits for the fence
	FenceHeld     = "held"    // it has taken the fence
	FenceNone     = "without" // no fence can be had, and it runs without
)

// fenceProgram is the last link before the gateway's own command.
const fenceProgram = "hermes-fence"

// fence returns the words that follow fenceProgram.
func (d *Definition) fence() string {
	if d.Standby {
		return "--standby " + d.Profile
	}
	return d.Profile
}

// findFence is sh that sets $fence to fenceProgram, or to "" if there is to be none. A missing
// program must not keep all gateways down, as 127 would. It is looked for before --env can
// change PATH.
const findFence = `fence=
if [ "${HERMES_FENCE:-}" != off ]; then
	fence=$(command -v ` + fenceProgram + `) || echo "` + fenceProgram + `: not found: the gateway runs without a fence" >&2
	case $fence in *[!0-9A-Za-z/._+-]*) fence=` + fenceProgram + ` ;; esac
fi`

// portVariable tells a gateway its port.
const portVariable = "HERMES_GATEWAY_PORT"

// Port returns the port that the run script run exports, or 0 if none is found. Both dialects
// write export, the name, and then = or a blank.
func Port(run string) int {
	_, rest, ok := strings.Cut(run, "export "+portVariable)
	if !ok || rest == "" {
		return 0
	}
	digits, _, _ := strings.Cut(rest[1:], "\n")
	port, _ := strconv.Atoi(digits)
	return port
}

// MaxSize is more than a script of ours can take: values of a megabyte in all, with each byte
// quoted by five.
const MaxSize = 6 << 20

// user returns the variables that --env asked for, in the order of their keys.
func (d *Definition) user() [][2]string {
	var vars [][2]string
	for _, key := range d.Settings.Keys() {
		vars = append(vars, [2]string{key, string(d.Settings.Env[key])})
	}
	return vars
}

// scrubbed reports whether variables of the container are kept from d's gateway. They are
// meant for the root profile: with API_SERVER_PORT, for example, all gateways would fight for
// one port.
func (d *Definition) scrubbed() bool { return d.Profile != profile.Default }

// scrub removes the variables whose names match a glob of HERMES_PROFILE_SCRUB from the
// environment. It does so when the gateway starts, because the container's environment is not
// known before; as the account; and before --env is exported, which therefore stays. It is in
// sh in both dialects, since execline has no program that selects variables by name.
//
// A line of env that belongs to a value may look like a variable of its own. Then no variable
// has its name, which does no harm, or one that is to be removed anyway. A name that sh does
// not accept is not seen; most shells do not pass such a variable on.
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

// Drops reports whether the scripts need to drop root. If the account is root itself, there is
// nothing to drop to.
func (d *Definition) Drops() bool { return d.Account.UID != 0 }

// venv is where the image has the hermes program.
const venv = "/opt/hermes/.venv/bin"

// prefixVariable set to 0 keeps the profile's name off the lines in the container's log
// (s6-log's p directive).
const prefixVariable = "HERMES_LOG_PREFIX"

// logArgs are s6-log's arguments before the directory, and after those for the container's
// log: ten files of 1 MB, with ISO 8601 time stamps.
const logArgs = "n10 s1000000 T"

// basePath is the default path of a gateway's programs.
const basePath = "/usr/bin:/bin"

// Descriptions in the first lines of the scripts.
const (
	runTitle    = "The gateway"
	finishTitle = "Whether and when to restart the gateway"
	logTitle    = "The log"
)
