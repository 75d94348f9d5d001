"""Slots, as callers of S6ServiceManager make, list and remove them."""
import json
import os
import pathlib
import stat
import unittest

import hermes_s6 as s6
import test_hermes_s6 as base


class Slots(base.Tree):
    """Each test has a manager that was given its scan directory as a Path."""

    def setUp(self):
        super().setUp()
        self.manager = s6.S6ServiceManager(scandir=pathlib.Path(self.scandir))

    def slot(self, name="coder"):
        return self.manager.scandir / f"gateway-{name}"

    def text(self, name, profile="coder"):
        return (self.slot(profile) / name).read_text()


class TestRegister(Slots):
    def setUp(self):
        super().setUp()
        self.manager.register_profile_gateway("coder", start_now=False)

    def test_the_slot_is_a_longrun(self):
        self.assertEqual(self.text("type"), "longrun\n")

    def test_its_scripts_can_be_executed(self):
        for name in ("run", "finish", "log/run"):
            with self.subTest(name):
                self.assertTrue((self.slot() / name).stat().st_mode & stat.S_IXUSR)

    def test_it_runs_the_profiles_gateway(self):
        self.assertIn("hermes -p coder gateway run --replace\n", self.text("run"))

    def test_the_root_profiles_gateway_is_run_without_a_name(self):
        self.manager.register_profile_gateway("default", start_now=False)
        self.assertIn(" hermes gateway run --replace\n", self.text("run", "default"))

    def test_the_gateway_knows_that_it_is_supervised(self):
        for variable in ("HERMES_S6_SUPERVISED_CHILD", "HERMES_SUPERVISED_CHILD"):
            with self.subTest(variable):
                self.assertIn(f"\nexport {variable}=1\n", self.text("run"))

    def test_the_gateways_home_is_set(self):
        self.assertIn("\nexport HOME=", self.text("run"))

    @unittest.skipUnless(os.geteuid() == 0, "only root drops to an account")
    def test_root_drops_to_the_account(self):
        for script in ("run", "log/run"):
            with self.subTest(script):
                self.assertIn(f"s6-setuidgid {os.environ['HERMES_USER']}", self.text(script))

    def test_a_broken_configuration_and_a_clean_end_are_final(self):
        self.assertIn("78", self.text("finish"))
        self.assertIn("exit 125", self.text("finish"))

    def test_the_log_is_found_when_the_logger_starts(self):
        text = self.text("log/run")
        self.assertIn("$HERMES_HOME", text)
        self.assertIn("logs/gateways/coder", text)
        self.assertNotIn("/opt/data/logs/gateways/coder", text)
        self.assertNotIn(f"{self.home}/logs/gateways/coder", text)

    def test_the_log_reaches_the_containers_too(self):
        self.assertRegex(self.text("log/run"), r"s6-log [^\n]*\b1 p?\b")

    def test_the_account_can_control_it(self):
        for name in ("supervise/control", "log/supervise/control"):
            with self.subTest(name):
                mode = (self.slot() / name).stat().st_mode
                self.assertTrue(stat.S_ISFIFO(mode))
                self.assertEqual(stat.S_IMODE(mode), 0o660)

    def test_nothing_half_done_is_left(self):
        self.assertEqual([e.name for e in self.manager.scandir.iterdir() if e.name.startswith(".gateway-")], [])

    def test_a_second_registration_is_refused(self):
        with self.assertRaisesRegex(ValueError, "already registered"):
            self.manager.register_profile_gateway("coder")


class TestRegistrations(Slots):
    def test_s6_supervises_it_at_once(self):
        self.manager.register_profile_gateway("coder")
        self.assertTrue(self.manager.status("coder")["supervised"])

    def test_it_starts_unless_told_not_to(self):
        self.manager.register_profile_gateway("coder")
        self.assertFalse((self.slot() / "down").exists())
        base.wait_until(lambda: self.manager.is_running("gateway-coder"), "it starts")

    def test_it_stays_down_with_start_now_false(self):
        self.manager.register_profile_gateway("coder", start_now=False)
        self.assertTrue((self.slot() / "down").is_file())
        self.assertFalse(self.manager.is_running("gateway-coder"))

    def test_extra_env_is_quoted(self):
        self.manager.register_profile_gateway("coder", extra_env={"FOO": "bar baz", "QUOTED": "a'b"}, start_now=False)
        self.assertIn("\nexport FOO='bar baz'\nexport QUOTED='a'\"'\"'b'\n", self.text("run"))

    def test_extra_env_may_be_none(self):
        self.manager.register_profile_gateway("coder", extra_env=None, start_now=False)
        self.assertTrue(self.slot().is_dir())

    def test_the_port_of_early_versions_is_taken(self):
        self.manager.register_profile_gateway("coder", port=9300, start_now=False)
        self.assertIn("\nexport HERMES_GATEWAY_PORT=9300\n", self.text("run"))

    def test_an_invalid_name_is_refused(self):
        with self.assertRaises(ValueError):
            self.manager.register_profile_gateway("Bad/Name")
        self.assertEqual(self.manager.list_profile_gateways(), [])

    def test_a_directory_that_was_there_counts_as_registered(self):
        self.slot().mkdir()
        with self.assertRaisesRegex(ValueError, "already registered"):
            self.manager.register_profile_gateway("coder")

    def test_a_failure_of_s6_svscanctl_leaves_no_slot(self):
        self.s6_program("s6-svscanctl", "#!/bin/sh\necho rescan failed >&2\nexit 1\n")
        with self.assertRaisesRegex(RuntimeError, "s6-svscanctl failed.*rescan failed"):
            self.manager.register_profile_gateway("coder")
        self.assertFalse(self.slot().exists())

    def test_a_failure_names_the_slot(self):
        self.s6_program("s6-svscanctl", "#!/bin/sh\nexit 1\n")
        with self.assertRaises(s6.S6CommandError) as caught:
            self.manager.register_profile_gateway("coder")
        self.assertEqual((caught.exception.profile, caught.exception.service), ("coder", "gateway-coder"))


class TestUnregister(Slots):
    def test_the_slot_is_gone(self):
        self.manager.register_profile_gateway("coder", wait=True)
        self.manager.unregister_profile_gateway("coder")
        self.assertFalse(self.slot().exists())

    def test_no_process_is_left(self):
        self.manager.register_profile_gateway("coder", wait=True)
        self.manager.unregister_profile_gateway("coder")
        self.assertEqual(self.processes(), [])

    def test_its_other_slots_go_on(self):
        self.manager.register_profile_gateway("coder", start_now=False)
        self.manager.register_profile_gateway("writer", wait=True)
        self.manager.unregister_profile_gateway("coder")
        self.assertTrue(self.manager.is_running("writer"))

    def test_one_that_is_not_there_is_no_error(self):
        self.manager.unregister_profile_gateway("ghost")


class TestList(base.Case):
    def setUp(self):
        super().setUp()
        self.manager = s6.S6ServiceManager(scandir=pathlib.Path(self.scandir))

    def test_only_slots_are_listed(self):
        for name in ("gateway-coder", "gateway-writer", "s6-linux-init-shutdownd", ".lock", ".gateway-x.tmp"):
            (self.manager.scandir / name).mkdir()
        self.assertEqual(sorted(self.manager.list_profile_gateways()), ["coder", "writer"])

    def test_a_file_is_no_slot(self):
        (self.manager.scandir / "gateway-coder").touch()
        self.assertEqual(self.manager.list_profile_gateways(), [])

    def test_a_missing_scan_directory_holds_none(self):
        self.assertEqual(s6.S6ServiceManager(scandir=pathlib.Path(self.path("absent"))).list_profile_gateways(), [])


class TestScanDirectory(base.Case):
    def test_it_is_a_path(self):
        for given in (self.scandir, pathlib.Path(self.scandir)):
            self.assertEqual(s6.S6ServiceManager(given).scandir / "gateway-coder",
                             pathlib.Path(self.scandir, "gateway-coder"))

    def test_the_environment_names_it(self):
        self.environ(S6_PROFILE_GATEWAY_SCANDIR=self.path("other"))
        self.assertEqual(s6.S6ServiceManager().scandir, pathlib.Path(self.path("other")))

    def test_without_either_it_is_s6_overlays(self):
        self.environ(S6_PROFILE_GATEWAY_SCANDIR="")
        self.assertEqual(s6.S6ServiceManager().scandir, s6.S6_DYNAMIC_SCANDIR)
        self.assertEqual(str(s6.S6_DYNAMIC_SCANDIR), "/run/service")


class TestUnregisteredProfile(Slots):
    """register_unregistered_profile_gateway, and start, which does the same."""

    def test_it_gets_a_slot_that_is_down(self):
        self.assertIs(s6.register_unregistered_profile_gateway(self.manager, "coder"), True)
        self.assertTrue((self.slot() / "down").is_file())

    def test_no_intent_is_recorded(self):
        s6.register_unregistered_profile_gateway(self.manager, "coder")
        self.assertFalse(os.path.exists(f"{self.home}/profiles/coder/gateway_state.json"))

    def test_a_directory_without_a_soul_is_no_profile(self):
        os.mkdir(f"{self.home}/profiles/typo")
        self.assertIs(s6.register_unregistered_profile_gateway(self.manager, "typo"), False)
        self.assertFalse(self.slot("typo").exists())

    def test_default_needs_a_home_alone(self):
        self.assertIs(s6.register_unregistered_profile_gateway(self.manager, "default"), True)
        self.assertTrue((self.slot("default") / "down").is_file())

    def test_without_a_home_there_is_no_default(self):
        self.environ(HERMES_HOME=f"{self.home}/nowhere")
        self.assertIs(s6.register_unregistered_profile_gateway(self.manager, "default"), False)

    def test_the_home_may_be_another_profiles(self):
        self.environ(HERMES_HOME=f"{self.home}/profiles/writer")
        self.assertIs(s6.register_unregistered_profile_gateway(self.manager, "coder"), True)

    def test_a_name_cannot_lead_elsewhere(self):
        with self.assertRaises(ValueError):
            s6.register_unregistered_profile_gateway(self.manager, "../profiles/coder")

    def test_start_does_so_too(self):
        self.manager.start("gateway-coder", wait=True)
        self.assertTrue(self.manager.is_running("gateway-coder"))
        with open(f"{self.home}/profiles/coder/gateway_state.json") as f:
            self.assertEqual(json.load(f)["desired_state"], "running")

    def test_stop_and_restart_do_not(self):
        for method in (self.manager.stop, self.manager.restart):
            with self.subTest(method.__name__), self.assertRaises(s6.GatewayNotRegisteredError):
                method("gateway-ghost")


if __name__ == "__main__":
    unittest.main()
