"""Start, stop, restart and the state of gateways, as callers of S6ServiceManager know them."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

import hermes_s6 as s6
import test_hermes_s6 as base


class Running(base.Tree):
    """Each test has the gateway of profile coder, up."""

    def setUp(self):
        super().setUp()
        self.manager.register_profile_gateway("coder", wait=True)

    def recorded(self, name=".gateway-planned-stop.json", profile="profiles/coder"):
        with open(f"{self.home}/{profile}/{name}") as f:
            return json.load(f)

    def desired(self):
        return self.recorded("gateway_state.json")["desired_state"]


class TestLifecycle(Running):
    def test_start_brings_it_up(self):
        self.manager.stop("gateway-coder", wait=True)
        self.manager.start("gateway-coder")
        base.wait_until(lambda: self.manager.is_running("gateway-coder"), "it is up")

    def test_stop_brings_it_down(self):
        self.manager.stop("gateway-coder")
        base.wait_until(lambda: not self.manager.is_running("gateway-coder"), "it is down")

    def test_stop_and_restart_send_sigterm(self):
        directory = self.program("listener", f"#!/bin/sh\ntrap 'echo >>{self.home}/told; exit 0' TERM\n"
                                             f">{self.home}/ready\nwhile :; do sleep 0.05; done\n")
        self.manager.register_profile_gateway("writer", command=f"{directory}/listener")
        for method in (self.manager.restart, self.manager.stop):
            base.wait_until(lambda: os.path.exists(f"{self.home}/ready"), "it listens")
            os.remove(f"{self.home}/ready")
            method("gateway-writer")
            base.wait_until(lambda: os.path.exists(f"{self.home}/told"), "it is told")
            os.remove(f"{self.home}/told")

    def test_start_records_the_intent(self):
        self.manager.start("gateway-coder")
        self.assertEqual(self.desired(), "running")

    def test_stop_records_the_intent(self):
        self.manager.stop("gateway-coder")
        self.assertEqual(self.desired(), "stopped")

    def test_restart_records_the_intent(self):
        self.manager.restart("gateway-coder")
        self.assertEqual(self.desired(), "running")

    def test_the_root_profiles_intent_is_in_the_home(self):
        self.manager.register_profile_gateway("default", start_now=False)
        self.environ(HERMES_HOME=f"{self.home}/profiles/writer")
        self.manager.start("gateway-default")
        self.assertEqual(self.recorded("gateway_state.json", ".")["desired_state"], "running")

    def test_other_keys_of_the_state_are_kept(self):
        path = f"{self.home}/profiles/coder/gateway_state.json"
        with open(path, "w") as f:
            json.dump({"gateway_state": "running", "theirs": 1}, f)
        os.chmod(path, 0o666)
        self.manager.stop("gateway-coder")
        state = self.recorded("gateway_state.json")
        self.assertEqual((state["gateway_state"], state["theirs"]), ("running", 1))

    def test_a_stop_is_marked_as_planned(self):
        pid = self.manager.supervised_pid("gateway-coder")
        self.manager.stop("gateway-coder")
        self.assertEqual(self.recorded()["target_pid"], pid)

    def test_a_stop_that_cannot_be_marked_is_one(self):
        os.mkdir(f"{self.home}/profiles/coder/.gateway-planned-stop.json")
        with self.assertLogs("hermes_s6", "WARNING"):
            self.manager.stop("gateway-coder", wait=True)
        self.assertFalse(self.manager.is_running("gateway-coder"))

    def test_restart_changes_the_pid(self):
        before = self.manager.supervised_pid("gateway-coder")
        self.manager.restart("gateway-coder")
        self.assertNotEqual(self.manager.supervised_pid("gateway-coder"), before)


class TestErrors(Running):
    def test_a_missing_slot_is_named(self):
        for method in (self.manager.start, self.manager.stop, self.manager.restart):
            with self.subTest(method.__name__), self.assertRaises(s6.GatewayNotRegisteredError) as caught:
                method("gateway-typo")
            self.assertEqual((caught.exception.profile, caught.exception.service), ("typo", "gateway-typo"))
            self.assertIn("no such gateway 'typo'", str(caught.exception))
            self.assertIn("hermes profile create typo", str(caught.exception))

    def test_a_name_without_the_prefix_is_kept(self):
        with self.assertRaises(s6.GatewayNotRegisteredError) as caught:
            self.manager.stop("not-prefixed")
        self.assertEqual(caught.exception.profile, "not-prefixed")

    def test_a_supervisor_that_cannot_be_told_is_an_os_error(self):
        control = f"{self.scandir}/gateway-coder/supervise/control"
        os.rename(control, control + ".real")
        os.symlink("control.real", control)  # it follows none
        self.addCleanup(os.rename, control + ".real", control)
        with self.assertRaisesRegex(OSError, "control"):
            self.manager.start("gateway-coder")

    # By s6 2.11 and 2.13, and by 2.15.
    REFUSED = "exit status (100: s6-svc: fatal|1: s6-svc: warning): "

    def test_a_failure_of_s6_svc_is_told(self):
        os.makedirs(f"{self.scandir}/gateway-new/supervise")  # s6-svscan has not seen it
        with self.assertRaisesRegex(s6.S6CommandError, "s6-svc failed: " + self.REFUSED) as caught:
            self.manager.start("gateway-new")
        self.assertEqual((caught.exception.service, caught.exception.action), ("gateway-new", "start"))
        self.assertRegex(caught.exception.stderr, "s6-svc: " + self.REFUSED)


class TestStates(Running):
    def test_up_is_running(self):
        self.assertIs(self.manager.is_running("gateway-coder"), True)

    def test_down_is_not(self):
        self.manager.stop("gateway-coder", wait=True)
        self.assertIs(self.manager.is_running("gateway-coder"), False)

    def test_one_without_a_slot_is_not(self):
        self.assertIs(self.manager.is_running("gateway-absent"), False)

    def test_the_supervised_pid_is_the_gateways(self):
        pid = self.manager.supervised_pid("gateway-coder")
        self.assertIn(pid, self.processes())
        self.assertEqual(self.manager._supervised_pid("coder"), pid)

    def test_down_has_no_pid(self):
        self.manager.stop("gateway-coder", wait=True)
        self.assertIsNone(self.manager.supervised_pid("gateway-coder"))

    def test_one_without_a_slot_has_no_pid(self):
        self.assertIsNone(self.manager.supervised_pid("gateway-absent"))

    def test_one_that_cannot_be_asked_has_no_pid(self):
        self.first("hermes-svstat", "#!/bin/sh\nexit 111\n")
        self.assertIsNone(self.manager.supervised_pid("gateway-coder"))

    def test_another_service_of_the_scan_directory_can_be_asked_about(self):
        os.mkdir(f"{self.scandir}/dashboard")
        with open(f"{self.scandir}/dashboard/run", "w") as f:
            f.write("#!/bin/sh\nexec sleep 100000\n")
        os.chmod(f"{self.scandir}/dashboard/run", 0o755)
        self.assertIs(self.manager.is_running("dashboard"), False)
        subprocess.run(["s6-svscanctl", "-a", self.scandir], check=True)
        base.wait_until(lambda: self.manager.is_running("dashboard"), "s6-svscan starts it")


class TestNames(base.Tree):
    """A service directory's name is its profile's, unless a profile has that name itself."""

    def setUp(self):
        super().setUp()
        for name in ("x", "gateway-x"):
            self.manager.register_profile_gateway(name, start_now=False)

    def test_a_profile_of_that_name_wins(self):
        self.assertEqual(self.manager.start("gateway-x", wait=True), {"gateway-x": "started"})

    def test_without_its_slot_it_does_not(self):
        self.manager.unregister_profile_gateway("gateway-x")
        self.assertEqual(self.manager.start("gateway-x", wait=True), {"x": "started"})

    def test_its_service_directory_can_be_named(self):
        self.assertEqual(self.manager.start("gateway-gateway-x", wait=True), {"gateway-x": "started"})

    def test_registration_takes_the_profiles_name_alone(self):
        self.manager.register_profile_gateway("gateway-coder", start_now=False)
        self.assertEqual(self.manager.list_profile_gateways(), ["gateway-coder", "gateway-x", "x"])


class TestStandby(base.Tree):
    """The gateway of coder runs in another container on this home."""

    def gateway(self):
        # Ours may be where the account cannot go, and a gateway then runs without a fence.
        directory = super().gateway()
        shutil.copy(shutil.which("hermes-fence"), directory)
        return directory

    def setUp(self):
        super().setUp()
        self.fence = f"{self.home}/profiles/coder/.gateway-fence"
        # Another process has to hold it: our own locks are no obstacle to us.
        holder = ("import fcntl, json, sys\nf = open(sys.argv[1], 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX)\n"
                  "f.write(json.dumps({'host': 'elsewhere', 'pid': 1, 'start_time': 1, 'since': '2026-11-24T18:00:00Z'}) + '\\n')\n"
                  "f.flush()\nprint(flush=True)\nsys.stdin.read()\n")
        fd = os.open(self.fence, os.O_CREAT | os.O_WRONLY, 0o600)
        if os.geteuid() == 0:
            account = os.stat(f"{self.home}/profiles/coder")
            os.fchown(fd, account.st_uid, account.st_gid)
        os.close(fd)
        self.holder = subprocess.Popen([sys.executable, "-c", holder, self.fence], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
        self.addCleanup(self.holder.communicate)
        self.holder.stdout.readline()
        # A start that is over before the gateway has reached its fence cannot know.
        self.started = s6.S6ServiceManager(timeout=120).start("coder", wait=True)

    def test_start_says_so(self):
        self.assertEqual(self.started, {"coder": "standby"})

    def test_it_counts_as_running(self):
        self.assertIs(self.manager.is_running("coder"), True)

    def test_what_waits_is_not_the_gateway(self):
        self.assertIsNone(self.manager.supervised_pid("coder"))

    def test_the_status_names_who_runs_it(self):
        self.assertEqual(self.manager.status("coder")["holder"]["host"], "elsewhere")

    def test_stop_fails_where_it_goes_on(self):
        with self.assertRaisesRegex(RuntimeError, "stopped here, but it runs elsewhere.*elsewhere") as caught:
            s6.S6ServiceManager(timeout=1).stop("coder")
        self.assertEqual(caught.exception.profile, "coder")
        self.assertIs(self.manager.is_running("coder"), False)


class TestCallers(Running):
    def test_a_hundred_threads_share_a_manager(self):
        failures, seen = [], []

        def call():
            try:
                seen.append((self.manager.is_running("gateway-coder"), tuple(self.manager.list_profile_gateways())))
                self.manager.start("gateway-coder")
            except Exception as e:
                failures.append(e)

        threads = [threading.Thread(target=call) for _ in range(100)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failures, [])
        self.assertEqual(set(seen), {(True, ("coder",))})

    def test_a_caller_killed_in_the_middle_costs_the_next_nothing(self):
        rand = random.Random(1)
        for call in ("register_profile_gateway('writer')", "start('writer')", "stop('writer')", "restart('writer')",
                     "is_running('writer')", "list_profile_gateways()", "unregister_profile_gateway('writer')"):
            with self.subTest(call):
                script = f"import hermes_s6, sys\nm = hermes_s6.S6ServiceManager()\nprint(flush=True)\nm.{call}\n"
                caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                                          stderr=subprocess.DEVNULL, cwd=os.path.dirname(s6.__file__))
                caller.stdout.readline()
                time.sleep(rand.uniform(0, 0.03))
                caller.send_signal(signal.SIGKILL)
                caller.communicate()
                with self.subTest("and then"):
                    self.manager.register_profile_gateway("writer", keep=True)
                    self.manager.start("writer", wait=True)
                    self.assertTrue(self.manager.is_running("writer"))


if __name__ == "__main__":
    unittest.main()
