//go:build linux

package test

import "testing"

// What launchctl answers, where several cases have it.
var (
	notInGUI  = answer{113, "Could not find service \"ai.hermes.gateway-coder\" in domain for user gui: 501\n"}
	notInUser = answer{113, "Bad request.\nCould not find service \"ai.hermes.gateway-coder\" in domain for uid: 501\n"}
	unfit     = answer{125, "Domain does not support specified action\n"}
	refused   = answer{5, "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors.\n"}
	fine      = answer{}
	notUp     = answer{0, "gui/501/ai.hermes.gateway-coder = {\n\tactive count = 0\n\ttype = LaunchAgent\n\tstate = not running\n\n\tlast exit code = (never exited)\n\n\tevent channels = {\n\t\t\"com.apple.xpc.activity\" = {\n\t\t\tpid = 1\n\t\t}\n\t}\n}\n"}
)

func up(pid string) answer {
	return answer{0, "gui/501/ai.hermes.gateway-coder = {\n\tactive count = 1\n\tstate = running\n\n\tendpoints = {\n\t\tpid = 1\n\t}\n\n\tpid = " + pid + "\n\timmediate reason = speculative\n}\n"}
}

// usualLaunchctl is an agent that is not loaded, and can be.
var usualLaunchctl = map[string][]answer{
	"kickstart gui": {notInGUI, fine}, "bootstrap gui": {fine}, "bootout gui": {fine}, "print gui": {notInGUI},
	"kickstart user": {notInUser}, "bootout user": {notInUser}, "print user": {notInUser},
}

const (
	launchctlManual = "https://www.unix.com/man-page/mojave/1/launchctl/"
	ourAgent        = "/ai.hermes.gateway-coder"
	loadIt          = "bootstrap gui ai.hermes.gateway-coder.plist"
	kickIt          = "kickstart gui" + ourAgent
	kickUser        = "kickstart user" + ourAgent
)

// TestLaunchctl shows what our programs make of launchctl's answers, as its manual and
// people who met them have them.
func TestLaunchctl(t *testing.T) {
	start := []string{"hermes-svc", "start", "coder"}
	patiently := []string{"hermes-svc", "start", "--timeout", "10000", "coder"}
	stop := []string{"hermes-svc", "stop", "coder"}
	status := []string{"hermes-svstat", "--json", "coder"}
	for _, c := range []hostCase{{
		name: "start of what is loaded", source: launchctlManual,
		answers: map[string][]answer{"kickstart gui": {fine}, "print gui": {up("77")}},
		run:     append(start[:2:2], "--json", "coder"), stdout: `^\{"name":"coder","action":"started","pid":77,"killed":false\}$`, calls: kickIt, desired: "running",
	}, {
		name: "start of what is not loaded", source: "https://github.com/NousResearch/hermes-agent/pull/5536",
		run: start, calls: kickIt + "; " + kickUser + "; " + loadIt + "; " + kickIt, desired: "running",
	}, {
		name: "start of what is not installed", source: "https://github.com/NousResearch/hermes-agent/pull/5536", bare: true,
		run: start, code: 102, stderr: "hermes-svc: fatal: no such gateway 'coder': launchd has no agent ai.hermes.gateway-coder, and there is no /.*$", hint: "`hermes gateway install` installs it$",
	}, {
		name: "start of what is starting", source: "https://github.com/headroomlabs-ai/headroom/issues/1289",
		answers: map[string][]answer{"kickstart gui": {{37, "Could not kickstart service \"ai.hermes.gateway-coder\": 37: Operation already in progress\n"}}},
		run:     start, calls: kickIt, desired: "running",
	}, {
		name: "start right after a stop", source: "https://github.com/headroomlabs-ai/headroom/issues/1289",
		answers: map[string][]answer{"kickstart gui": {notInGUI, notInGUI, notInGUI, fine}, "bootstrap gui": {refused, refused, fine}},
		run:     start, desired: "running",
	}, {
		name: "a label that is half loaded", source: "https://github.com/NousResearch/hermes-agent/pull/56256",
		answers: map[string][]answer{"kickstart gui": {notInGUI, notInGUI, fine}, "bootstrap gui": {refused, fine}},
		run:     start, desired: "running",
		calls: kickIt + "; " + kickUser + "; " + loadIt + "; " + kickIt + "; " + kickUser + "; bootout gui" + ourAgent + "; " + loadIt + "; " + kickIt,
	}, {
		name: "somebody else has loaded it", source: "https://github.com/Raven-Scout/scout-plugin/issues/23",
		answers: map[string][]answer{"bootstrap gui": {refused}},
		run:     start, desired: "running", calls: kickIt + "; " + kickUser + "; " + loadIt + "; " + kickIt,
	}, {
		name: "somebody else is loading it", source: "https://github.com/openclaw/openclaw/pull/41952",
		answers: map[string][]answer{"bootstrap gui": {{37, "Bootstrap failed: 37: Operation already in progress\n"}}},
		run:     start, desired: "running",
	}, {
		name: "disabled, as newer ones say it", source: "https://github.com/openclaw/openclaw/pull/849",
		answers: map[string][]answer{"kickstart gui": {notInGUI}, "bootstrap gui": {refused}},
		run:     patiently, code: 110, stderr: "hermes-svc: fatal: gui/[0-9]+ does not take /.*/ai.hermes.gateway-coder.plist: launchctl: exit status 5: Bootstrap failed: 5: Input/output error Try .*$",
		hint: "if the agent is disabled, run launchctl enable gui/[0-9]+/ai.hermes.gateway-coder$",
	}, {
		name: "disabled, as others say it", source: "https://github.com/DeterminateSystems/nix-installer/issues/530",
		answers: map[string][]answer{"bootstrap gui": {{119, "/Users/me/Library/LaunchAgents/ai.hermes.gateway-coder.plist: Service is disabled\nBootstrap failed: 119: Service is disabled\n"}}},
		run:     start, code: 110, stderr: "hermes-svc: fatal: launchctl: exit status 119: .*: Service is disabled$", hint: "run launchctl enable gui/[0-9]+/ai.hermes.gateway-coder$",
	}, {
		name: "by ssh, in the user's domain", source: "https://github.com/NousResearch/hermes-agent/issues/30586",
		answers: map[string][]answer{"kickstart gui": {{125, "Could not kickstart service \"ai.hermes.gateway-coder\": 125: Domain does not support specified action\n"}}, "kickstart user": {fine}, "print gui": {unfit}, "print user": {up("78")}},
		run:     append(start[:2:2], "--json", "coder"), stdout: `"pid":78`, calls: "kickstart gui" + ourAgent + "; " + kickUser, desired: "running",
	}, {
		name: "by ssh, to be loaded", source: "https://github.com/Mic92/sops-nix/pull/966",
		answers: map[string][]answer{"kickstart gui": {unfit}, "kickstart user": {notInUser, fine}, "bootstrap user": {fine}},
		run:     start, desired: "running", calls: "kickstart gui" + ourAgent + "; " + kickUser + "; bootstrap user ai.hermes.gateway-coder.plist; kickstart gui" + ourAgent + "; " + kickUser,
	}, {
		name: "by ssh, an agent of the desktop", source: "https://github.com/duh17/oppi/issues/31",
		answers: map[string][]answer{"kickstart gui": {unfit}, "bootstrap user": {{125, "Bootstrap failed: 125: Domain does not support specified action\nService cannot load in requested session\n"}}},
		run:     start, code: 110, stderr: "hermes-svc: fatal: launchctl: exit status 125: ", hint: "log in to the desktop first: the agent is not for user/[0-9]+$",
	}, {
		name: "an agent of another kind of session", source: "https://github.com/chilcote/outset/pull/108",
		answers: map[string][]answer{"kickstart gui": {unfit}, "bootstrap user": {{134, "Bootstrap failed: 134: Service cannot load in requested session\n"}}},
		run:     start, code: 110, stderr: "hermes-svc: fatal: launchctl: exit status 134: ", hint: "log in to the desktop first: the agent is not for user/[0-9]+$",
	}, {
		name: "no domain", source: "https://github.com/openclaw/openclaw/pull/8642 and, for its exit code, https://github.com/duh17/oppi/issues/38",
		answers: map[string][]answer{"kickstart gui": {{112, "Could not find domain for user gui: 1000\n"}}, "kickstart user": {{112, "Could not find domain for uid: 1000\n"}}},
		run:     start, code: 110, stderr: "hermes-svc: fatal: launchctl: no domain gui/[0-9]+ or user/[0-9]+: Could not find domain for uid: 1000$", hint: "log in first$",
	}, {
		name: "start --wait of what is slow", source: "https://github.com/openbase-community/openbase/pull/15",
		answers: map[string][]answer{"kickstart gui": {fine}, "print gui": {notUp, notUp, up("80")}},
		run:     []string{"hermes-svc", "start", "--wait", "--json", "coder"}, stdout: `"pid":80`, desired: "running",
	}, {
		name: "start --wait of what never comes", source: "https://github.com/openbase-community/openbase/pull/15",
		answers: map[string][]answer{"kickstart gui": {fine}, "print gui": {notUp}},
		run:     []string{"hermes-svc", "start", "--wait", "--timeout", "500", "coder"}, code: 99, stderr: "hermes-svc: fatal: launchctl: timed out$",
	}, {
		name: "restart", source: "https://github.com/flox/install-flox-action/pull/57",
		answers: map[string][]answer{"kickstart gui": {fine}, "print gui": {up("81"), up("81"), notUp, up("82")}},
		run:     []string{"hermes-svc", "restart", "--json", "coder"}, stdout: `"action":"restarted","pid":82`, calls: "kickstart -k gui" + ourAgent, desired: "running",
	}, {
		name: "restart of what is not loaded", source: "https://github.com/DeterminateSystems/nix-installer/issues/960",
		answers: map[string][]answer{"print gui": {notInGUI, up("83")}},
		run:     []string{"hermes-svc", "restart", "coder"}, calls: "kickstart -k gui" + ourAgent + "; kickstart -k user" + ourAgent + "; " + loadIt + "; " + kickIt, desired: "running",
	}, {
		name: "stop", source: launchctlManual,
		run: stop, calls: "bootout gui" + ourAgent, desired: "stopped",
	}, {
		name: "stop of what is not loaded", source: "https://github.com/nix-community/home-manager/issues/9585",
		answers: map[string][]answer{"bootout gui": {{3, "Boot-out failed: 3: No such process\n"}}, "bootout user": {{3, "Boot-out failed: 3: No such process\n"}}},
		run:     stop, desired: "stopped",
	}, {
		name: "stop of what is not installed", source: "https://github.com/nix-community/home-manager/issues/9585", bare: true,
		answers: map[string][]answer{"bootout gui": {{3, "Boot-out failed: 3: No such process\n"}}, "bootout user": {{3, "Boot-out failed: 3: No such process\n"}}},
		run:     stop, code: 102, stderr: "hermes-svc: fatal: no such gateway 'coder': ", hint: "`hermes gateway install` installs it$",
	}, {
		name: "stop of what takes its time", source: "https://github.com/osquery/osquery/issues/5698",
		answers: map[string][]answer{"bootout gui": {{36, "Boot-out failed: 36: Operation now in progress\n"}}},
		run:     stop, calls: "bootout gui" + ourAgent, desired: "stopped",
	}, {
		name: "stop --wait of what takes its time", source: "https://github.com/pingdotgg/t3code/pull/12005",
		answers: map[string][]answer{"bootout gui": {{36, "Boot-out failed: 36: Operation now in progress\n"}}, "print gui": {up("84"), up("84"), up("84"), notInGUI}},
		run:     []string{"hermes-svc", "stop", "--wait", "coder"}, desired: "stopped",
	}, {
		name: "stop --wait of what does not end", source: "https://github.com/pingdotgg/t3code/pull/12005",
		answers: map[string][]answer{"print gui": {up("84")}},
		run:     []string{"hermes-svc", "stop", "--wait", "--timeout", "500", "coder"}, code: 99, stderr: "hermes-svc: fatal: launchctl: timed out$",
	}, {
		name: "stop that fails", source: "https://github.com/NixOS/nix-installer/issues/35",
		answers: map[string][]answer{"bootout gui": {{5, "Boot-out failed: 5: Input/output error\n"}}},
		run:     stop, code: 110, stderr: "hermes-svc: fatal: launchctl: exit status 5: Boot-out failed: 5: Input/output error$",
	}, {
		name: "stop of one in the user's domain", source: "https://github.com/NousResearch/hermes-agent/pull/43663",
		answers: map[string][]answer{"bootout gui": {notInGUI}, "bootout user": {fine}},
		run:     stop, calls: "bootout gui" + ourAgent + "; bootout user" + ourAgent, desired: "stopped",
	}, {
		name: "status of one that runs", source: "https://github.com/NousResearch/hermes-agent/issues/40831",
		answers: map[string][]answer{"print gui": {up("32023")}},
		run:     status, stdout: `^\{"name":"coder","up":true,"pid":32023\}$`,
	}, {
		name: "status of one in the user's domain", source: "https://github.com/NousResearch/hermes-agent/pull/43663",
		answers: map[string][]answer{"print user": {up("32024")}},
		run:     status, stdout: `^\{"name":"coder","up":true,"pid":32024\}$`,
	}, {
		name: "status of one that is loaded and has no process", source: "https://github.com/openbase-community/openbase/pull/15",
		answers: map[string][]answer{"print gui": {notUp}},
		run:     status, code: 1, stdout: `^\{"name":"coder","up":false,"pid":null\}$`,
	}, {
		name: "status of one that is not loaded", source: "https://github.com/NousResearch/hermes-agent/issues/40831",
		run: status, code: 1, stdout: `^\{"name":"coder","up":false,"pid":null\}$`,
	}, {
		name: "status of one that is not installed", source: "https://github.com/NousResearch/hermes-agent/issues/40831", bare: true,
		run: status, code: 102, stderr: "hermes-svstat: fatal: no such gateway 'coder': ", hint: "`hermes gateway install` installs it$",
	}, {
		name: "status by ssh", source: "https://github.com/NousResearch/hermes-agent/issues/30586",
		answers: map[string][]answer{"print gui": {unfit}},
		run:     status, code: 1, stdout: `"up":false`,
	}} {
		t.Run(c.name, func(t *testing.T) { t.Parallel(); c.replay(t, "launchd", "launchctl", usualLaunchctl) })
	}
}

// What schtasks answers. A row is HostName, TaskName, Next Run Time, Status, Logon Mode,
// Last Run Time, Last Result and more
// (https://learn.microsoft.com/windows-server/administration/windows-commands/schtasks-query).
func row(status, result string) answer {
	return answer{0, `"DESK","\Hermes_Gateway_coder","N/A","` + status + `","Interactive only","28/11/2026 10:00:00","` + result + `","me","wscript.exe //B //Nologo C:\h\x.vbs","N/A"` + "\r\n"}
}

var (
	listed    = answer{0, `"\Hermes_Gateway","N/A","Ready"` + "\r\n" + `"\Hermes_Gateway_coder","N/A","Ready"` + "\r\n"}
	unlisted  = answer{0, `"\Hermes_Gateway","N/A","Ready"` + "\r\n" + `"\Hermes_Gateway_coder2","N/A","Ready"` + "\r\n"}
	forbidden = answer{1, "ERROR: Access is denied.\r\n"}
)

// usualSchtasks is a task that does not run.
var usualSchtasks = map[string][]answer{
	"Run task": {{0, "SUCCESS: Attempted to run the scheduled task \"Hermes_Gateway_coder\".\r\n"}}, "End task": {fine}, "Query task": {row("Ready", "267014")}, "Query list": {listed},
}

// TestSchtasks is TestLaunchctl for schtasks, whose words are those of the system's
// language: nothing depends on them.
func TestSchtasks(t *testing.T) {
	const runIt, endIt, lookIt = "/Run /TN Hermes_Gateway_coder", "/End /TN Hermes_Gateway_coder", "/Query /V /FO CSV /NH /TN Hermes_Gateway_coder"
	start := []string{"hermes-svc", "start", "coder"}
	stop := []string{"hermes-svc", "stop", "coder"}
	status := []string{"hermes-svstat", "--json", "coder"}
	const yes, no = `^\{"name":"coder","up":true,"pid":null\}$`, `^\{"name":"coder","up":false,"pid":null\}$`
	for _, c := range []hostCase{{
		name: "start", source: "https://learn.microsoft.com/windows-server/administration/windows-commands/schtasks-run",
		run: start, calls: runIt, desired: "running",
	}, {
		name: "start of what there is not", source: "https://github.com/trycua/cua/issues/3228",
		answers: map[string][]answer{"Run task": {{1, "ERROR: The system cannot find the file specified.\r\n"}}, "Query list": {unlisted}},
		run:     start, code: 102, stderr: "hermes-svc: fatal: no such gateway 'coder': the task scheduler has no task Hermes_Gateway_coder .ERROR: The system cannot find the file specified\\.\\)$", hint: "`hermes gateway install` installs it$",
	}, {
		name: "start of what there is not, in another language", source: "https://github.com/openclaw/openclaw/pull/114434",
		answers: map[string][]answer{"Run task": {{1, "FEHLER: Das System kann die angegebene Datei nicht finden.\r\n"}}, "Query list": {unlisted}},
		run:     start, code: 102, stderr: "hermes-svc: fatal: no such gateway 'coder': ", hint: "`hermes gateway install` installs it$",
	}, {
		name: "start that is denied", source: "https://github.com/TheSleepyAdmin/Scripts/issues/3",
		answers: map[string][]answer{"Run task": {forbidden}},
		run:     start, code: 110, stderr: "hermes-svc: fatal: schtasks: exit status 1: ERROR: Access is denied\\.$",
	}, {
		name: "no task scheduler", source: "https://github.com/microsoft/IIS.ServiceMonitor/issues/55",
		answers: map[string][]answer{"Run task": {forbidden}, "Query list": {forbidden}},
		run:     start, code: 110, stderr: "hermes-svc: fatal: schtasks: exit status 1: ERROR: Access is denied\\.$",
	}, {
		name: "stop", source: "https://learn.microsoft.com/windows-server/administration/windows-commands/schtasks-end",
		run: stop, calls: endIt, desired: "stopped",
	}, {
		name: "stop of what does not run", source: "https://github.com/openclaw/openclaw/pull/114434",
		answers: map[string][]answer{"End task": {{1, "FEHLER: Es gibt keine aktive Instanz der Aufgabe.\r\n"}}},
		run:     stop, desired: "stopped",
	}, {
		name: "stop that is denied", source: "https://learn.microsoft.com/windows/win32/api/taskschd/nf-taskschd-iregisteredtask-stop",
		answers: map[string][]answer{"End task": {forbidden}, "Query task": {row("Running", "267009")}},
		run:     stop, code: 110, stderr: "hermes-svc: fatal: schtasks: exit status 1: ERROR: Access is denied\\.$",
	}, {
		name: "stop --wait", source: "https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-error-and-success-constants",
		answers: map[string][]answer{"Query task": {row("Running", "267009"), row("Running", "267009"), row("Ready", "267014")}},
		run:     []string{"hermes-svc", "stop", "--wait", "coder"}, desired: "stopped",
	}, {
		name: "stop --wait of what does not end", source: "https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-error-and-success-constants",
		answers: map[string][]answer{"Query task": {row("Running", "267009")}},
		run:     []string{"hermes-svc", "stop", "--wait", "--timeout", "500", "coder"}, code: 99, stderr: "hermes-svc: fatal: schtasks: timed out$",
	}, {
		name: "restart of what would not be started twice", source: "https://github.com/NousResearch/hermes-agent/issues/35692",
		answers: map[string][]answer{"Query task": {row("Running", "267009"), row("Running", "267009"), row("Ready", "267014")}, "Run task": {{0, "SUCCESS\r\n"}}},
		run:     []string{"hermes-svc", "restart", "coder"}, looks: true, calls: endIt + "; " + lookIt + "; " + lookIt + "; " + lookIt + "; " + runIt + "; " + lookIt, desired: "running",
	}, {
		name: "restart of what does not run", source: "https://github.com/openclaw/openclaw/pull/114434",
		answers: map[string][]answer{"End task": {{1, "ERROR: There is no running instance of the task.\r\n"}}},
		run:     []string{"hermes-svc", "restart", "coder"}, calls: endIt + "; " + runIt, desired: "running",
	}, {
		name: "status, in German", source: "https://github.com/openclaw/openclaw/pull/39153",
		answers: map[string][]answer{"Query task": {row("Wird ausgeführt", "267009")}},
		run:     status, stdout: yes,
	}, {
		name: "status, in Japanese", source: "https://github.com/openclaw/openclaw/pull/136459",
		answers: map[string][]answer{"Query task": {row("準備完了", "0")}},
		run:     status, code: 1, stdout: no,
	}, {
		name: "status with a number in base 16", source: "https://github.com/openclaw/openclaw/pull/39153",
		answers: map[string][]answer{"Query task": {row("En cours", "0x41301")}},
		run:     status, stdout: yes,
	}, {
		name: "status of one that was ended", source: "https://github.com/NousResearch/hermes-agent/pull/54344",
		answers: map[string][]answer{"Query task": {row("Ready", "267014")}},
		run:     status, code: 1, stdout: no,
	}, {
		name: "status of one with two triggers", source: "https://github.com/NousResearch/hermes-agent/issues/55710",
		answers: map[string][]answer{"Query task": {{0, row("Running", "267009").said + row("Running", "267009").said}}},
		run:     status, stdout: yes,
	}, {
		name: "status that is refused", source: "https://github.com/district09/check_ms_win_tasks/issues/10",
		answers: map[string][]answer{"Query task": {row("Ready", "-2147020576")}},
		run:     status, code: 1, stdout: no,
	}, {
		name: "status that is denied", source: "https://github.com/TheSleepyAdmin/Scripts/issues/3",
		answers: map[string][]answer{"Query task": {forbidden}},
		run:     status, code: 110, stderr: "hermes-svstat: fatal: schtasks: exit status 1: ERROR: Access is denied\\.$",
	}, {
		name: "status of which there is no word", source: "https://github.com/wine-mirror/wine/blob/master/programs/schtasks/schtasks.c",
		answers: map[string][]answer{"Query task": {fine}},
		run:     status, code: 110, stderr: "hermes-svstat: fatal: schtasks: it does not say whether task Hermes_Gateway_coder runs$",
	}, {
		name: "status of what there is not", source: "https://github.com/trycua/cua/issues/3228",
		answers: map[string][]answer{"Query task": {{1, "ERROR: The system cannot find the file specified.\r\n"}}, "Query list": {unlisted}},
		run:     status, code: 102, stderr: "hermes-svstat: fatal: no such gateway 'coder': ", hint: "`hermes gateway install` installs it$",
	}} {
		t.Run(c.name, func(t *testing.T) { t.Parallel(); c.replay(t, "windows", "schtasks", usualSchtasks) })
	}
}
