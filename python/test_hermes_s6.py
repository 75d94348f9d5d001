"""Tests of hermes_s6 on a real s6-svscan, with the programs that are on PATH.

    PATH=$PWD/../bin:$PATH python3 -m unittest -v    # in this directory
"""
import contextlib
import glob
import math
import os
import pathlib
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

import hermes_s6 as s6

# Bounds every wait. It is long, since a loaded machine is no failure, and is
# reached only by one.
PATIENCE = 20.0

# The gateway: writes its environment down and stays; that of the profile
# "stubborn" is not to be stopped.
GATEWAY = """#!/bin/sh
[ "$2" != stubborn ] || trap '' TERM
cat /proc/$$/environ >"$HERMES_HOME/environ.new"
mv "$HERMES_HOME/environ.new" "$HERMES_HOME/environ"
exec sleep 100000
"""

# Says in gateway_state.json that it starts; then what its profile's directory has as "says".
SAYS = """#!/bin/sh
cd "$HERMES_HOME/profiles/$2" || exit
set -- $(cat /proc/$$/stat)
start=${22}
says() {
    echo '{"kind":"hermes-gateway","pid":'$$',"start_time":'$start','"$1"',"desired_state":"running"}' >state.new
    mv state.new gateway_state.json
}
says '"gateway_state":"starting"'
until [ -e says ]; do sleep 0.1; done
says "$(cat says)"
exec sleep 100000
"""
HANGS = f"#!/bin/sh\nexec sleep {PATIENCE}\n"


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"this never came true: {what}")
        time.sleep(0.01)


def stat(pid):
    """Return a process's state, "" where there is none, and its parent's pid."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            state, parent = f.read().rpartition(")")[2].split()[:2]
        return state, int(parent)
    except OSError:
        return "", 0


def exited(pid):
    return stat(pid)[0] in ("", "Z")


class Case(unittest.TestCase):
    """A home with three profiles, an empty scan directory, and what names them."""

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="hermes-python-")
        self.addCleanup(shutil.rmtree, self.work)
        os.chmod(self.work, 0o755)  # gateways run as somebody else
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.home, self.scandir = self.path("home"), self.path("scan")
        os.mkdir(self.scandir)
        for name in ("coder", "writer", "stubborn"):
            os.makedirs(f"{self.home}/profiles/{name}")
            with open(f"{self.home}/profiles/{name}/SOUL.md", "w"):
                pass
        if os.geteuid() == 0:
            for path in [self.home, *glob.glob(f"{self.home}/**", recursive=True)]:
                os.chown(path, account.pw_uid, account.pw_gid)
        path = self.gateway() + ":" + os.environ["PATH"]
        self.environ(HERMES_HOME=self.home, HERMES_USER=account.pw_name, HERMES_SERVICE_MANAGER="s6",
                     S6_PROFILE_GATEWAY_SCANDIR=self.scandir, PATH=path)

    def gateway(self):
        """Make the gateway's program in a directory, which is returned."""
        return self.program("hermes", GATEWAY)

    def path(self, name):
        return os.path.join(self.work, name)

    def environ(self, **variables):
        """Set variables for the rest of the test."""
        patch = mock.patch.dict(os.environ, variables)
        patch.start()
        self.addCleanup(patch.stop)

    def program(self, name, text):
        """Make a program in a directory of its own, which is returned."""
        directory = tempfile.mkdtemp(dir=self.work)
        os.chmod(directory, 0o755)
        with open(f"{directory}/{name}", "w") as f:
            f.write(text)
        os.chmod(f"{directory}/{name}", 0o755)
        return directory

    def first(self, name, text):
        """Have name on PATH be a program of ours."""
        self.environ(PATH=self.program(name, text) + ":" + os.environ["PATH"])

    def s6_program(self, name, text):
        """Have s6's program name be one of ours, in which REAL is s6's, which is returned."""
        real = shutil.which(name, path=os.environ.get("HERMES_S6_BINDIR") or None)
        directory = self.program(name, text.replace("REAL", real))
        for path in glob.glob(f"{os.path.dirname(real)}/s6-*"):
            with contextlib.suppress(FileExistsError):
                os.symlink(path, f"{directory}/{os.path.basename(path)}")
        self.environ(HERMES_S6_BINDIR=directory)
        return real

    @contextlib.contextmanager
    def error(self, kind, code, builtin, message):
        """Expect exactly kind, which is builtin as well, with message in it."""
        with self.assertRaises(s6.ServiceError) as caught:
            yield caught
        error = caught.exception
        self.assertIs(type(error), kind, error)
        self.assertIsInstance(error, builtin)
        self.assertEqual(error.returncode, code)
        self.assertRegex(str(error), message)


class Tree(Case):
    """A Case with an s6-svscan, which is to leave nothing behind."""

    def setUp(self):
        super().setUp()
        self.mark = f"HERMES_PYTHON_TREE={self.work}"
        ready, notify = os.pipe()
        environ = {**os.environ, "HERMES_PYTHON_TREE": self.work}
        with open(self.path("svscan.log"), "wb") as log:
            self.svscan = subprocess.Popen(["s6-svscan", "-d", str(notify), self.scandir], env=environ,
                                           stdout=log, stderr=log, pass_fds=[notify])
        os.close(notify)
        self.addCleanup(self.stop)
        with open(ready, "rb") as f:
            f.read()  # to its end, which is when s6-svscan takes commands
        self.manager = s6.S6ServiceManager()

    def stop(self):
        try:
            subprocess.run(["hermes-svc-unregister", "--all", "--timeout=200"], stderr=subprocess.DEVNULL, check=True)
        finally:
            self.svscan.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.svscan.wait(PATIENCE)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not self.processes(), "the tree ends")  # its last a moment later
            left = self.processes()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.svscan.kill()
            self.svscan.wait()
        self.assertEqual(left, [])

    def processes(self):
        """Return the pids of the tree, but for s6-svscan."""
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as f:
                if os.fsencode(self.mark) in f.read().split(b"\0") and pid != self.svscan.pid:
                    found.append(pid)
        return found

    def pid(self, name):
        return self.manager.status(name)["pid"]


class TestStates(Tree):
    def gateway(self):
        return self.program("hermes", SAYS)

    def says(self, text):
        path = f"{self.home}/profiles/coder/says"
        with open(f"{path}.new", "w") as f:
            f.write(text)
        os.rename(f"{path}.new", path)

    def test_it_gets_ready(self):
        m = self.manager
        m.register_profile_gateway("coder", wait=True)
        wait_until(lambda: (m.status("coder")["gateway"] or {}).get("state") == "starting", "starting")
        with self.error(s6.ServiceTimeoutError, 99, TimeoutError, "'coder': not ready in time; it says: starting"):
            m.wait_ready("coder", timeout=0.3)
        timer = threading.Timer(0.5, self.says, ["""
            "gateway_state": "degraded", "active_agents": 2,
            "platforms": {"irc": {"state": "fatal", "error_message": "banned\\u001b"}, "slack": {"state": "connected"}}"""])
        timer.start()
        self.assertIs(m.wait_ready("gateway-coder", timeout=None), True)
        timer.join()
        self.assertEqual(m.status("coder")["gateway"], {
            "state": "degraded", "platforms": {"irc": "fatal", "slack": "connected"},
            "active_agents": 2, "attention": ["irc: banned"]})

    def test_it_does_not_get_ready(self):
        m = self.manager
        m.register_profile_gateway("coder", start_now=False)
        with self.error(s6.S6Error, 1, RuntimeError, "'coder': it is down, and is not to be up"):
            m.wait_ready("coder")
        self.assertIsNone(m.status("coder")["gateway"])
        self.says('"gateway_state":"startup_failed","exit_reason":"no token"')
        m.start("coder")
        with self.error(s6.S6Error, 1, RuntimeError, "'coder': could not start: no token"):
            m.wait_ready("coder", timeout=None)
        with self.error(s6.InvalidInputError, 100, ValueError, "invalid timeout"):
            m.wait_ready("coder", timeout=-1)
        with self.error(s6.GatewayNotRegisteredError, 102, RuntimeError, "no such gateway"):
            m.wait_ready("nobody")


class TestGateways(Tree):
    def test_a_life(self):
        m = self.manager
        self.assertTrue(m.supports_runtime_registration())
        self.assertEqual(m.list_profile_gateways(), [])
        self.assertFalse(m.is_running("coder"))
        m.register_profile_gateway("writer", start_now=False)
        m.register_profile_gateway("coder", wait=True)
        self.assertEqual(m.list_profile_gateways(), ["coder", "writer"])
        self.assertTrue(m.is_running("coder"))
        self.assertFalse(m.is_running("writer"))

        before = self.pid("coder")
        m.restart("coder")
        self.assertTrue(m.is_running("coder"))
        self.assertNotEqual(self.pid("coder"), before)

        m.stop("coder", wait=True)
        self.assertFalse(m.is_running("coder"))
        self.assertEqual(m.status("coder")["desired_state"], "stopped")
        m.start("coder", "writer", wait=True)
        self.assertTrue(m.is_running("coder"))
        self.assertTrue(m.is_running("writer"))
        self.assertEqual(m.status("coder")["desired_state"], "running")

        m.stop("coder")
        wait_until(lambda: not m.is_running("coder"), "stopped without wait")
        m.start("coder")
        wait_until(lambda: m.is_running("coder"), "started without wait")

        m.unregister_profile_gateway("coder", "writer")
        m.unregister_profile_gateway("coder")  # no error
        self.assertEqual(m.list_profile_gateways(), [])
        self.assertEqual(self.processes(), [])

    def test_start_makes_the_slot_of_a_profile(self):
        self.manager.start("coder", wait=True)
        self.assertTrue(self.manager.is_running("coder"))

    def test_options(self):
        m = self.manager
        m.register_profile_gateway("coder", port=4321, command="hermes --as {profile} 'two words'", start_now=False)
        run = f"{self.scandir}/gateway-coder/run"
        with open(run) as f:
            text = f.read()
        self.assertIn("HERMES_GATEWAY_PORT=4321\n", text)
        self.assertIn(" hermes --as coder 'two words'\n", text)
        self.assertTrue(text.startswith("#!/bin/sh"))
        m.register_profile_gateway("coder", keep=True)
        with open(run) as f:
            self.assertEqual(f.read(), text)
        self.assertFalse(m.is_running("coder"))
        with self.error(s6.S6Error, 1, RuntimeError, "registered, but not up: the gateway is stopped"):
            m.register_profile_gateway("coder", keep=True, wait=True)
        m.register_profile_gateway("coder", replace=True, dialect="execline")
        with open(run) as f:
            self.assertIn("execlineb", f.readline())

    def test_scandir(self):
        for scandir in (self.scandir, os.path.relpath(self.scandir), pathlib.Path(self.scandir)):
            with mock.patch.dict(os.environ):
                del os.environ["S6_PROFILE_GATEWAY_SCANDIR"]
                self.assertEqual(s6.S6ServiceManager(scandir).list_profile_gateways(), [])
                s6.S6ServiceManager(scandir).register_profile_gateway("coder")
                self.assertEqual(s6.S6ServiceManager(scandir).list_profile_gateways(), ["coder"])
            self.manager.unregister_profile_gateway("coder")

    def test_environment(self):
        # Called instead of the program: writes its arguments down.
        real = shutil.which("hermes-svc-register")
        self.first("hermes-svc-register", f'#!/bin/sh\necho "$*" >{self.work}/arguments\nexec {real} "$@"\n')
        extra = {"TOKEN": "s3cret", "QUOTES": "a'b\"c", "SPACES": " x\t ", "HASH": "a # b", "DOLLAR": "$HOME `id`",
                 "EMPTY": "", "EQUALS": "a=b=", "LINES": "one\ntwo\n", "RETURN": "a\r", "LATIN": "\udce9", "GREEK": "λ",
                 "_": "-", "COMMA": "a,b", "DASHES": "--port=1"}
        self.manager.register_profile_gateway("coder", extra_env=extra)
        wait_until(lambda: os.path.exists(f"{self.home}/environ"), "the gateway writes its environment down")
        with open(f"{self.home}/environ", "rb") as f:
            got = dict(os.fsdecode(entry).split("=", 1) for entry in f.read().split(b"\0") if entry)
        del extra["_"]  # the shell's own
        self.assertEqual({key: got.get(key) for key in extra}, extra)
        with open(f"{self.work}/arguments") as f:
            arguments = f.read()
        self.assertIn("--env-file=-", arguments)
        self.assertNotIn("--timeout", arguments)
        self.assertTrue(arguments.endswith(" -- coder\n"), arguments)
        self.assertIn("LINES", arguments)
        for key in ("TOKEN", "s3cret", "QUOTES"):
            self.assertNotIn(key, arguments)

    def test_timeouts(self):
        self.first("hermes-svc", f'#!/bin/sh\necho "$*" >{self.work}/arguments\n')
        for timeout, option in ((math.inf, "--timeout=0 "), (None, "--timeout=0 "), (0, "--timeout=1 "), (0.25, "--timeout=250 "),
                                (24 * 86400, "--timeout=2073600000 "), ("default", "")):
            with self.subTest(timeout=timeout):
                s6.S6ServiceManager(self.scandir, timeout=timeout).start("coder")
                with open(f"{self.work}/arguments") as f:
                    self.assertEqual(f.read(), f"start --scandir={self.scandir} {option}--json -- coder\n")
        for timeout in (2**31, -1, math.nan):
            with self.subTest(timeout=timeout), self.error(s6.InvalidInputError, 100, ValueError, "invalid timeout"):
                s6.S6ServiceManager(timeout=timeout)

    def test_warnings_are_logged(self):
        self.manager.register_profile_gateway("stubborn", wait=True)
        wait_until(lambda: os.path.exists(f"{self.home}/environ"), "it ignores SIGTERM")
        m = s6.S6ServiceManager(timeout=0.1)
        m.stop("stubborn")
        self.assertTrue(m.is_running("stubborn"))
        with self.assertLogs("hermes_s6", "WARNING") as logged:
            m.stop("stubborn", wait=True)
        self.assertRegex(logged.output[0], "hermes-svc: warning: gateway 'stubborn': it did not end in time: killed")
        self.assertFalse(m.is_running("stubborn"))

    def test_threads(self):
        outcomes = []

        def work(i):
            m = self.manager
            try:
                m.register_profile_gateway("coder")
                outcomes.append("registered")
            except s6.AlreadyRegisteredError:
                outcomes.append("there")
            m.register_profile_gateway(f"p{i}", extra_env={"I": str(i)}, wait=True)
            outcomes.append(m.is_running(f"p{i}"))

        threads = [threading.Thread(target=work, args=[i]) for i in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(map(str, outcomes)), ["True"] * 6 + ["registered"] + ["there"] * 5)
        self.assertEqual(self.manager.list_profile_gateways(), ["coder"] + [f"p{i}" for i in range(6)])
        for i in range(6):
            with open(f"{self.scandir}/gateway-p{i}/run") as f:
                self.assertIn(f"export I={i}\n", f.read())

    def test_interrupted(self):
        self.manager.register_profile_gateway("stubborn", wait=True)
        wait_until(lambda: os.path.exists(f"{self.home}/environ"), "it ignores SIGTERM")
        # Where SIGINT is ignored, as in a background job, Python leaves it so.
        script = ("import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import hermes_s6\n"
                  "hermes_s6.S6ServiceManager(timeout=None).unregister_profile_gateway('stubborn')\n")
        caller = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE,
                                  cwd=os.path.dirname(s6.__file__))
        self.addCleanup(caller.communicate)
        self.addCleanup(caller.kill)

        def programs():
            return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if stat(pid)[1] == caller.pid]

        def waiting():
            """Tell whether the caller waits for the output of the program, on two pipes."""
            try:
                fds = [f"/proc/{caller.pid}/fd/{fd}" for fd in os.listdir(f"/proc/{caller.pid}/fd") if int(fd) > 2]
                return len([fd for fd in fds if os.readlink(fd).startswith("pipe:")]) == 2
            except FileNotFoundError:  # closed since it was listed
                return False

        # A signal any sooner may have Python lose a process that it is just making.
        wait_until(lambda: programs() and waiting(), "the program runs")
        [pid] = programs()
        self.addCleanup(lambda: exited(pid) or os.kill(pid, signal.SIGKILL))
        caller.send_signal(signal.SIGINT)
        self.assertIn(b"KeyboardInterrupt", caller.communicate(timeout=PATIENCE)[1])
        wait_until(lambda: exited(pid), "the program is killed")
        # The slot is whole, or gone for good by the next run.
        with self.assertLogs("hermes_s6", "WARNING"):
            s6.S6ServiceManager(timeout=0.1).unregister_profile_gateway("stubborn")
        self.assertEqual(self.processes(), [])


class TestFollow(Tree):
    def setUp(self):
        super().setUp()
        self.manager = s6.S6ServiceManager()

    def children(self):
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if stat(pid)[1] == os.getpid()
                and pid != self.svscan.pid and not exited(pid)]

    def until(self, states, condition):
        """Return the first of states for which condition holds."""
        return next(state for state in states if condition(state))

    def test_changes(self):
        with self.manager.follow() as states:
            self.manager.register_profile_gateway("coder")
            up = self.until(states, lambda state: state["name"] == "coder" and state["up"])
            self.assertEqual(set(up), set(self.manager.status("coder")))
            with self.manager.follow("coder") as named:
                self.assertEqual(next(named)["pid"], up["pid"])
                self.manager.stop("coder", wait=True)
                self.until(named, lambda state: state["desired_state"] == "stopped" and not state["up"])
                self.manager.unregister_profile_gateway("coder")
                self.assertEqual(self.until(named, lambda state: state.get("removed")), {"name": "coder", "removed": True})
            self.until(states, lambda state: state.get("removed"))
        self.assertEqual(self.children(), [])
        self.assertEqual(list(states), [])  # it is closed

    def test_closed(self):
        states = self.manager.follow()
        self.assertEqual(len(self.children()), 1)
        got = []
        waits = threading.Thread(target=lambda: got.extend(states))
        waits.start()
        states.close()
        waits.join(PATIENCE)
        self.assertFalse(waits.is_alive())
        self.assertEqual((got, self.children()), ([], []))
        another = self.manager.follow()
        self.assertEqual(len(self.children()), 1)
        del another  # nobody refers to it
        self.assertEqual(self.children(), [])

    def test_errors(self):
        with self.error(s6.GatewayNotRegisteredError, 102, RuntimeError, "no such gateway 'nobody'"):
            next(self.manager.follow("nobody"))
        with self.error(s6.InvalidInputError, 100, ValueError, "invalid profile name"):
            self.manager.follow("a/b")
        with self.manager.follow() as states:
            os.kill(self.children()[0], signal.SIGKILL)
            with self.error(s6.S6Error, -9, RuntimeError, "it ended: exit code -9"):
                next(states)
        self.environ(PATH="/nonexistent")
        with self.error(s6.ProgramNotFoundError, 127, FileNotFoundError, "hermes-svstat: not found"):
            self.manager.follow()


class TestErrors(Tree):
    def test_some_failed(self):
        self.manager.register_profile_gateway("coder", wait=True)
        with self.error(s6.S6Error, 1, RuntimeError, "no such gateway 'absent'(.|\n)*\nhermes-svc: fatal: no such gateway 'gone'"):
            self.manager.stop("absent", "coder", "gone", wait=True)
        self.assertFalse(self.manager.is_running("coder"))

    def test_timed_out(self):
        self.environ(HERMES_S6_BINDIR=self.program("s6-svscanctl", HANGS))
        m = s6.S6ServiceManager(timeout=0.2)
        with self.error(s6.ServiceTimeoutError, 99, TimeoutError, "^hermes-svc-register: fatal: s6-svscanctl: timed out"):
            m.register_profile_gateway("coder")
        self.environ(HERMES_S6_BINDIR="")
        self.assertEqual(m.list_profile_gateways(), [])

    def test_a_program_that_hangs_is_killed(self):
        self.first("hermes-svstat", f"#!/bin/sh\necho $$ >{self.work}/pid\nexec sleep {PATIENCE}\n")
        with mock.patch.object(s6, "_GRACE", 0.3):
            with self.error(s6.ServiceTimeoutError, 99, TimeoutError, "^hermes-svstat: no answer in 0.5 s: killed$"):
                s6.S6ServiceManager(timeout=0.1).is_running("coder")
            # Of several one may have to wait for the other.
            self.first("hermes-svc-unregister", HANGS)
            with self.error(s6.ServiceTimeoutError, 99, TimeoutError, "^hermes-svc-unregister: no answer in 1 s: killed$"):
                s6.S6ServiceManager(timeout=0.1).unregister_profile_gateway("coder", "writer")
        with open(self.path("pid")) as f:
            self.assertTrue(exited(int(f.read())))

    def test_invalid(self):
        m = self.manager
        for options, message in (
                ({"port": 0}, "^hermes-svc-register: fatal: invalid port"),
                ({"dialect": "basic"}, "dialect"),
                ({"command": ""}, "option --command: empty value"),
                ({"keep": True, "replace": True}, "mutually exclusive"),
                ({"start_now": False, "wait": True}, "--down and --wait or --ready: mutually exclusive"),
                ({"extra_env": {"PPID": "1"}}, "environment key PPID|line 1"),
                ({"extra_env": {"A": "b\0c"}}, "NUL"),
                ({"extra_env": {"A": "b\n\0c"}}, "^hermes-svc-register: .*null byte"),
                ({"extra_env": {"A": "b\n" + "c" * (1 << 18)}}, "^hermes-svc-register: .*too long"),
                ({"extra_env": {"A": "\ud800"}}, "^hermes-svc-register: .*surrogates"),
                ({"extra_env": {"A": "\n\ud800"}}, "^hermes-svc-register: .*surrogates"),
                ({"command": "a\0"}, "^hermes-svc-register: .*null byte"),
                ({"extra_env": {"A-B": "\n"}}, "^invalid environment key 'A-B'"),
                ({"extra_env": {"#A": "1"}}, "^invalid environment key '#A'"),
                ({"extra_env": {"A=B": "1"}}, "^invalid environment key 'A=B'"),
                ({"extra_env": {"A=1\nB": "1"}}, "^invalid environment key "),
                ({"extra_env": {"A\n": "1"}}, "^invalid environment key "),
                ({"extra_env": {"": "1"}}, "^invalid environment key "),
        ):
            with self.subTest(message), self.error(s6.InvalidInputError, 100, ValueError, message):
                m.register_profile_gateway("coder", **options)
        for method in (m.start, m.stop, m.restart, m.is_running, m.status, m.register_profile_gateway,
                       m.unregister_profile_gateway):
            for name in ("-v", "--all", "a/b", "a\0"):
                with self.subTest(f"{method.__name__} {name!r}"):
                    with self.error(s6.InvalidInputError, 100, ValueError, "^invalid profile name"):
                        method(name)
        self.assertEqual(m.list_profile_gateways(), [])

    def test_already_registered(self):
        self.manager.register_profile_gateway("coder")
        with self.error(s6.AlreadyRegisteredError, 101, ValueError,
                        "^hermes-svc-register: fatal: profile coder: already registered"):
            self.manager.register_profile_gateway("coder")

    def test_not_registered(self):
        for method in (self.manager.start, self.manager.stop, self.manager.restart, self.manager.status):
            with self.error(s6.GatewayNotRegisteredError, 102, s6.S6Error, "no such gateway 'nobody'") as caught:
                method("nobody")
            self.assertEqual(caught.exception.profile, "nobody")

    def test_a_program_of_s6_failed(self):
        self.environ(HERMES_S6_BINDIR=self.program("s6-svscanctl", "#!/bin/sh\necho quite wrong >&2\nexit 7\n"))
        with self.error(s6.S6CommandError, 110, RuntimeError,
                        "^hermes-svc-register: fatal: s6-svscanctl failed: exit status 7: quite wrong$"):
            self.manager.register_profile_gateway("coder")
        self.environ(HERMES_S6_BINDIR="")

    def test_a_system_call_failed(self):
        m = s6.S6ServiceManager(self.path("absent\udcff"))
        with self.error(s6.ServiceOSError, 111, OSError, "^hermes-svc-register: fatal: .*absent.*no such file") as caught:
            m.register_profile_gateway("coder")
        str(caught.exception).encode()
        self.assertIn("absent", caught.exception.stderr)

    def test_a_program_is_missing(self):
        empty = self.program("none", "")
        with mock.patch.dict(os.environ, HERMES_S6_BINDIR=empty):
            with self.error(s6.ProgramNotFoundError, 127, FileNotFoundError, "^hermes-svc-register: fatal: s6-"):
                self.manager.register_profile_gateway("coder")
        with mock.patch.dict(os.environ, PATH=empty):
            with self.error(s6.ProgramNotFoundError, 127, FileNotFoundError, "^hermes-svc: not found on PATH"):
                self.manager.start("coder")

    def test_a_program_cannot_be_run(self):
        directory = self.program("hermes-svc", "")
        os.chmod(f"{directory}/hermes-svc", 0o644)
        with mock.patch.dict(os.environ, PATH=directory):
            with self.error(s6.ServiceOSError, 111, OSError, "^hermes-svc: .*Permission denied"):
                self.manager.start("coder")

    def test_what_a_program_does_not_say(self):
        for text, code, kind, message in (
                ("printf 'hermes-svstat: fatal: \\377\\n' >&2; exit 110", 110, s6.S6CommandError, "^hermes-svstat: fatal: \ufffd$"),
                ("exit 2", 2, s6.S6Error, "^hermes-svstat: exit code 2$"),
                ("kill -9 $$", -9, s6.S6Error, "^hermes-svstat: exit code -9$"),
                ("echo nothing", 110, s6.S6CommandError, "^hermes-svstat: unreadable answer"),
        ):
            with self.subTest(text), mock.patch.dict(os.environ):
                self.first("hermes-svstat", f"#!/bin/sh\n{text}\n")
                with self.error(kind, code, RuntimeError, message):
                    self.manager.is_running("coder")


class TestNames(Case):
    def test_names_are_valid_where_the_programs_say_so(self):
        rand = random.Random(1)
        letters = "abz09_-AZ. /\\\n\t'\"$*:é٣\u212a\udcff\x7f"
        names = ["", "default", "a", "-", "_", "0", "a-", "a_", "-a", "a\n", "\na", "..", ".", "con", "٣", "a" * 10000,
                 *("a" * n for n in (242, 243, 244, 250, 251, 252)), "é" * 121, *letters]
        names += ["".join(rand.choices(letters, k=rand.randint(1, 4))) for _ in range(150)]
        names += ["".join(rand.choices("abz09_-", k=rand.randint(1, 260))) for _ in range(150)]
        valid = 0
        for name in names:
            done = subprocess.run(["hermes-svc-register", "--dry-run", "--", name], capture_output=True)
            self.assertIn(done.returncode, (0, 100), done.stderr)
            try:
                s6.validate_profile_name(name)
                ours = 0
                valid += 1
            except ValueError as e:
                ours = e.returncode
            self.assertEqual(ours, done.returncode, repr(name))
        self.assertGreater(valid, 50)


class TestHosts(Case):
    def setUp(self):
        super().setUp()
        # Without them nothing is to be missed: a host has no such account.
        self.environ(HERMES_USER="", HERMES_SERVICE_MANAGER="systemd")

    def test_systemd(self):
        self.first("systemctl", f"""#!/bin/sh
case $* in
*\\ show*absent*) printf 'LoadState=not-found\\n' ;;
*\\ show*idle*) printf 'LoadState=loaded\\nActiveState=inactive\\nMainPID=0\\n' ;;
*\\ show\\ *) printf 'LoadState=loaded\\nActiveState=active\\nMainPID=4242\\n' ;;
*absent*) echo "Unit not found." >&2; exit 5 ;;
*) echo "$*" >>{self.work}/calls ;;
esac
""")
        m = s6.get_service_manager()
        m.start("coder")
        m.stop("default")
        m.restart("coder")
        with open(self.path("calls")) as f:
            self.assertEqual(f.read(), "--user --no-ask-password start --no-block -- hermes-gateway-coder.service\n"
                                       "--user --no-ask-password stop --no-block -- hermes-gateway.service\n"
                                       "--user --no-ask-password restart -- hermes-gateway-coder.service\n")
        self.assertTrue(m.is_running("coder"))
        self.assertEqual(m.status("coder"), {"name": "coder", "up": True, "pid": 4242})
        self.assertFalse(m.is_running("idle"))
        self.assertFalse(m.is_running("absent"))
        with self.error(s6.GatewayNotRegisteredError, 102, s6.S6Error, "no such gateway 'absent'"):
            m.start("absent")
        s6.SystemdServiceManager(system=True).stop("coder")
        with open(self.path("calls")) as f:
            self.assertEqual(f.readlines()[-1], "--system --no-ask-password stop --no-block -- hermes-gateway-coder.service\n")

    def test_tools_are_missing(self):
        programs = self.path("programs")
        os.mkdir(programs)
        os.symlink(shutil.which("hermes-svc"), f"{programs}/hermes-svc")
        with mock.patch.dict(os.environ, PATH=programs):
            for manager, tool in ((s6.SystemdServiceManager(), "systemctl"), (s6.LaunchdServiceManager(), "launchctl"),
                                  (s6.WindowsServiceManager(), "schtasks")):
                with self.error(s6.ProgramNotFoundError, 127, FileNotFoundError, f"hermes-svc: fatal: {tool}: not found"):
                    manager.start("coder")

    def test_there_are_no_slots(self):
        for kind in ("systemd", "launchd", "windows"):
            with mock.patch.dict(os.environ, HERMES_SERVICE_MANAGER=kind):
                m = s6.get_service_manager()
            self.assertEqual(m.kind, kind)
            self.assertFalse(m.supports_runtime_registration())
            self.assertEqual(m.list_profile_gateways(), [])
            with self.error(s6.UnsupportedError, 103, NotImplementedError,
                            f"^service manager {kind}: it has no slots"):
                m.register_profile_gateway("coder", extra_env={"A": "b"}, start_now=False)
            with self.error(s6.UnsupportedError, 103, NotImplementedError, "it has no slots"):
                m.unregister_profile_gateway("coder")


class TestDetection(Case):
    def test_the_one_named(self):
        for kind in ("s6", "systemd", "launchd", "windows"):
            with mock.patch.dict(os.environ, HERMES_SERVICE_MANAGER=kind):
                self.assertEqual(s6.detect_service_manager(), kind)
                m = s6.get_service_manager()
            self.assertEqual(m.kind, kind)
            self.assertIsInstance(m, s6.ServiceManager)
        self.environ(HERMES_SERVICE_MANAGER="none")
        self.assertEqual(s6.detect_service_manager(), "none")
        with self.error(s6.UnsupportedError, 103, RuntimeError, "no supported service manager"):
            s6.get_service_manager()
        self.environ(HERMES_SERVICE_MANAGER="upstart")
        with self.error(s6.InvalidInputError, 100, ValueError, "upstart"):
            s6.detect_service_manager()

    def test_the_one_found(self):
        self.environ(HERMES_SERVICE_MANAGER="")
        found = subprocess.run(["hermes-detect"], capture_output=True, text=True).stdout.strip()
        self.assertEqual(s6.detect_service_manager(), "s6" if found == "none" else found)
        self.environ(S6_PROFILE_GATEWAY_SCANDIR="")
        self.assertEqual(s6.detect_service_manager(), found)
        with mock.patch.dict(os.environ, PATH=self.program("none", "")):
            with self.error(s6.ProgramNotFoundError, 127, OSError, "^hermes-detect: not found"):
                s6.detect_service_manager()


if __name__ == "__main__":
    unittest.main()
