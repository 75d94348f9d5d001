"""What brings gateways back, as callers of hermes_cli.container_boot know it."""
import json
import os
import pathlib
import unittest
from unittest import mock

import hermes_s6 as s6
import test_hermes_s6 as base

RC_INIT = ["/bin/sh", "-e", "/run/s6/basedir/scripts/rc.init", "top"]


class Boot(base.Case):
    """A home with profiles, and a scan directory that no s6-svscan watches yet."""

    def setUp(self):
        super().setUp()
        self.environ(HERMES_SERVICE_MANAGER="", GATEWAY_MULTIPLEX_PROFILES="")

    def state(self, profile="profiles/coder", **state):
        with open(f"{self.home}/{profile}/gateway_state.json", "w") as f:
            json.dump(state, f)

    def reconcile(self, **options):
        return s6.reconcile_profile_gateways(hermes_home=pathlib.Path(self.home), scandir=pathlib.Path(self.scandir),
                                             **options)

    def action(self, profile="coder", **options):
        [action] = [a for a in self.reconcile(**options) if a.profile == profile]
        return action

    def slot(self, name):
        return os.path.join(self.scandir, name)


class TestReconcile(Boot):
    def test_what_ran_is_started(self):
        self.state(gateway_state="running")
        self.assertEqual(self.action(), s6.ReconcileAction(profile="coder", prior_state="running", action="started"))
        self.assertFalse(os.path.exists(self.slot("gateway-coder/down")))

    def test_what_was_stopped_is_registered(self):
        self.state(gateway_state="stopped")
        self.assertEqual(self.action(), s6.ReconcileAction(profile="coder", prior_state="stopped", action="registered"))
        self.assertTrue(os.path.exists(self.slot("gateway-coder/down")))

    def test_without_a_state_there_is_no_prior_one(self):
        self.assertEqual(self.action(), s6.ReconcileAction(profile="coder", prior_state=None, action="registered"))

    def test_the_intent_beats_the_state(self):
        self.state(gateway_state="startup_failed", desired_state="running")
        self.assertEqual(self.action().action, "started")

    def test_a_gateway_killed_while_it_drained_ran(self):
        for state in ("draining", "degraded"):
            with self.subTest(state):
                self.state(gateway_state=state)
                self.assertEqual(self.action(dry_run=True).action, "started")

    def test_one_that_had_not_started_is_not_tried_again(self):
        for state in ("starting", "startup_failed"):
            with self.subTest(state):
                self.state(gateway_state=state)
                self.assertEqual(self.action(dry_run=True).action, "registered")

    def test_a_corrupt_state_counts_as_none(self):
        with open(f"{self.home}/profiles/coder/gateway_state.json", "w") as f:
            f.write("{")
        self.assertEqual((self.action().prior_state, self.action().action), (None, "unchanged"))

    def test_each_profile_has_a_record(self):
        self.assertEqual([a.profile for a in self.reconcile()], ["default", "coder", "stubborn", "writer"])

    def test_a_dry_run_touches_nothing(self):
        self.state(gateway_state="running")
        self.assertEqual(self.action(dry_run=True).action, "started")
        self.assertEqual(os.listdir(self.scandir), [])
        self.assertFalse(os.path.exists(f"{self.home}/logs/container-boot.log"))

    def test_a_second_run_changes_nothing(self):
        self.reconcile()
        self.assertEqual({a.action for a in self.reconcile()}, {"unchanged"})

    def test_a_slot_follows_the_state(self):
        self.state(gateway_state="running")
        self.reconcile()
        self.state(gateway_state="stopped")
        self.reconcile()
        self.assertTrue(os.path.exists(self.slot("gateway-coder/down")))

    def test_what_names_processes_of_another_container_goes(self):
        stale = [f"{self.home}/profiles/coder/{name}" for name in ("gateway.pid", "processes.json")]
        for path in stale:
            with open(path, "w") as f:
                f.write("[]")
        self.reconcile()
        self.assertEqual([path for path in stale if os.path.exists(path)], [])

    def test_a_profile_called_default_is_skipped(self):
        os.mkdir(f"{self.home}/profiles/default")
        with open(f"{self.home}/profiles/default/SOUL.md", "w"):
            pass
        with self.assertLogs("hermes_s6", "WARNING") as logged:
            self.reconcile()
        self.assertIn("default", logged.output[0])

    def test_one_gateway_for_all_leaves_the_others_down(self):
        self.state(gateway_state="running")
        for variable, config, down in (("", "true", True), ("false", "true", False), ("true", "false", True)):
            with self.subTest(variable), mock.patch.dict(os.environ, GATEWAY_MULTIPLEX_PROFILES=variable):
                with open(f"{self.home}/config.yaml", "w") as f:
                    f.write(f"multiplex_profiles: {config}\n")
                self.reconcile()
                self.assertIs(os.path.exists(self.slot("gateway-coder/down")), down)

    def test_a_profile_that_cannot_be_done_costs_the_others_nothing(self):
        os.rename(f"{self.home}/profiles/coder", f"{self.home}/profiles/Coder")
        with self.assertLogs("hermes_s6", "ERROR") as logged:
            actions = {a.profile: a.action for a in self.reconcile()}
        self.assertEqual((actions["Coder"], actions["writer"]), ("failed", "registered"))
        self.assertIn("Coder", logged.output[0])

    def test_what_was_done_is_in_the_boot_log(self):
        self.state(gateway_state="running")
        self.reconcile()
        with open(f"{self.home}/logs/container-boot.log") as f:
            self.assertIn(" profile=coder prior_state=running action=started", f.read())

    def test_an_end_that_was_none_is_told(self):
        out = {"profile": "coder", "prior_state": "running", "action": "started", "error": None, "prior_exit": "unclean"}
        self.first("hermes-reconcile", f"#!/bin/sh\necho '{json.dumps(out)}'\n")
        self.assertEqual(self.action().prior_exit, "unclean")


class TestDashboard(unittest.TestCase):
    def test_a_dashboard_is_one(self):
        for command in (["dashboard", "--port", "9119"], ["hermes", "dashboard"], ["-p", "coder", "dashboard"],
                        ["/opt/hermes/docker/main-wrapper.sh", "dashboard"], ["/usr/bin/env", "hermes", "--verbose", "dashboard"]):
            for argv in (command, RC_INIT + command):
                with self.subTest(argv):
                    self.assertIs(s6.is_dashboard_container(argv), True)

    def test_anything_else_is_none(self):
        for command in ([], ["gateway", "run"], ["chat", "dashboard"], ["-p", "dashboard"], ["--", "dashboard"],
                        ["/opt/hermes/docker/main-wrapper.sh"], ["hermes"]):
            for argv in (command, RC_INIT + command):
                with self.subTest(argv):
                    self.assertIs(s6.is_dashboard_container(argv), False)

    def test_by_default_it_is_this_container(self):
        with mock.patch.object(s6, "_RC_INIT", "/run/s6/basedir/scripts/absent"):
            self.assertIs(s6.is_dashboard_container(), False)


class TestThisContainer(base.Case):
    def test_stage_2_tells_the_command(self):
        directory = self.program("rc.init", "#!/bin/sh\nread line\n")
        path = f"{directory}/rc.init"
        process = base.subprocess.Popen(["/bin/sh", "-e", path, "top", "/opt/hermes/docker/main-wrapper.sh", "dashboard"],
                                        stdin=base.subprocess.PIPE)
        self.addCleanup(process.communicate)
        with mock.patch.object(s6, "_RC_INIT", path):
            base.wait_until(s6.is_dashboard_container, "stage 2 is found")


if __name__ == "__main__":
    unittest.main()
