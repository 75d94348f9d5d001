"""Names, detection, and the managers of hosts, as callers of hermes_cli.service_manager know them."""
import os
import unittest
from unittest import mock

import hermes_s6 as s6
import test_hermes_s6 as base

# A host's tool, whatever it is called: writes down how it was called, and has all run.
TOOL = """#!/bin/sh
case $* in
*show*) printf 'LoadState=loaded\\nActiveState=active\\nMainPID=4242\\n' ;;
*print*) printf 'gui/501/agent = {\\n\\tstate = running\\n\\tpid = %s\\n}\\n' $$ ;;
*) echo "$*" >>CALLS ;;
esac
"""


class TestNames(unittest.TestCase):
    def test_accepted(self):
        for name in ("coder", "my-profile", "assistant_v2", "a", "0", "0abc", "a" * 64):
            with self.subTest(name):
                s6.validate_profile_name(name)

    def test_refused(self):
        for name in ("", "Coder", "foo/bar", "../escape", "-dash", "_underscore", "a space", "a.dot", "a" * 252):
            with self.subTest(name), self.assertRaises(ValueError):
                s6.validate_profile_name(name)


class TestErrors(unittest.TestCase):
    """What callers catch, and what they make themselves."""

    def test_an_error_of_s6_is_a_runtime_error(self):
        self.assertTrue(issubclass(s6.S6Error, RuntimeError))
        self.assertEqual(s6.S6Error("it is broken", service="gateway-coder").service, "gateway-coder")

    def test_no_such_gateway_is_made_of_a_profile(self):
        error = s6.GatewayNotRegisteredError("typo")
        self.assertIsInstance(error, s6.S6Error)
        self.assertEqual((error.profile, error.service), ("typo", "gateway-typo"))
        self.assertIn("no such gateway 'typo'", str(error))
        self.assertIn("hermes profile create typo", str(error))

    def test_a_failed_command_is_made_of_what_it_said(self):
        error = s6.S6CommandError(service="gateway-coder", action="start", returncode=111, stderr="denied\n")
        self.assertIsInstance(error, s6.S6Error)
        self.assertEqual((error.service, error.action, error.returncode), ("gateway-coder", "start", 111))
        self.assertRegex(str(error), "start.*gateway-coder.*111.*denied$")


class TestDetection(base.Case):
    def setUp(self):
        super().setUp()
        self.environ(HERMES_SERVICE_MANAGER="", S6_PROFILE_GATEWAY_SCANDIR="")

    def test_the_answer_is_one_of_five(self):
        self.assertIn(s6.detect_service_manager(), ("systemd", "launchd", "windows", "s6", "none"))

    def test_each_kind_has_its_manager(self):
        for kind, manager in (("systemd", s6.SystemdServiceManager), ("launchd", s6.LaunchdServiceManager),
                              ("windows", s6.WindowsServiceManager), ("s6", s6.S6ServiceManager)):
            with self.subTest(kind), mock.patch.dict(os.environ):
                self.first("hermes-detect", f"#!/bin/sh\necho {kind}\n")
                self.assertEqual(s6.detect_service_manager(), kind)
                self.assertIsInstance(s6.get_service_manager(), manager)

    def test_there_is_no_manager_for_none(self):
        self.first("hermes-detect", "#!/bin/sh\necho none\nexit 1\n")
        with self.assertRaisesRegex(RuntimeError, "no supported service manager"):
            s6.get_service_manager()


class TestKinds(unittest.TestCase):
    def test_each_is_made_without_arguments(self):
        for kind, manager in (("systemd", s6.SystemdServiceManager()), ("launchd", s6.LaunchdServiceManager()),
                              ("windows", s6.WindowsServiceManager()), ("s6", s6.S6ServiceManager())):
            with self.subTest(kind):
                self.assertEqual(manager.kind, kind)
                self.assertIsInstance(manager, s6.ServiceManager)

    def test_only_s6_registers(self):
        self.assertIs(s6.S6ServiceManager().supports_runtime_registration(), True)
        for manager in (s6.SystemdServiceManager(), s6.LaunchdServiceManager(), s6.WindowsServiceManager()):
            with self.subTest(manager.kind):
                self.assertIs(manager.supports_runtime_registration(), False)


class TestHosts(base.Case):
    """Nothing here needs a program of ours, unless it is there."""

    managers = (s6.SystemdServiceManager, s6.LaunchdServiceManager, s6.WindowsServiceManager)

    def test_registration_is_refused(self):
        self.environ(PATH="")
        for manager in self.managers:
            with self.subTest(manager.kind), self.assertRaises(NotImplementedError):
                manager().register_profile_gateway("coder", port=9300, extra_env={"A": "b"}, start_now=False)

    def test_unregistration_is_refused(self):
        self.environ(PATH="")
        for manager in self.managers:
            with self.subTest(manager.kind), self.assertRaises(NotImplementedError):
                manager().unregister_profile_gateway("coder")

    def test_nothing_is_listed(self):
        self.environ(PATH="")
        for manager in self.managers:
            with self.subTest(manager.kind):
                self.assertEqual(manager().list_profile_gateways(), [])

    def lifecycle(self, manager, tool):
        """Return how the host's tool was called to start, stop and restart a gateway."""
        self.environ(HERMES_USER="", HERMES_SERVICE_MANAGER="")
        self.first(tool, TOOL.replace("CALLS", self.path("calls")))
        manager.start("gateway-coder")
        manager.stop("coder")
        manager.restart("gateway-coder")
        with open(self.path("calls")) as f:
            return f.read()

    def test_systemd_is_asked(self):
        manager = s6.SystemdServiceManager()
        calls = self.lifecycle(manager, "systemctl")
        self.assertRegex(calls, r"start .*hermes-gateway-coder\.service\n.*stop .*hermes-gateway-coder\.service\n"
                                r".*restart .*hermes-gateway-coder\.service\n")
        self.assertIs(manager.is_running("gateway-coder"), True)

    def test_launchd_is_asked(self):
        manager = s6.LaunchdServiceManager()
        calls = self.lifecycle(manager, "launchctl")
        self.assertRegex(calls, r"(?s)ai\.hermes\.gateway-coder.*ai\.hermes\.gateway-coder.*ai\.hermes\.gateway-coder")
        self.assertIs(manager.is_running("gateway-coder"), True)

    def test_windows_is_asked(self):
        calls = self.lifecycle(s6.WindowsServiceManager(), "schtasks")
        self.assertRegex(calls, r"(?s)(?i:/run).*Hermes_Gateway_coder.*(?i:/end).*Hermes_Gateway_coder")

    def test_a_service_that_is_not_installed_does_not_run(self):
        self.environ(HERMES_USER="")
        for manager, tool in zip(self.managers, ("systemctl", "launchctl", "schtasks")):
            with self.subTest(tool), mock.patch.dict(os.environ):
                self.first(tool, "#!/bin/sh\ncase $* in *show*) echo LoadState=not-found; exit 0 ;; esac\nexit 113\n"
                           if tool != "schtasks" else "#!/bin/sh\ncase $* in */TN*) echo ERROR: The system cannot find the file specified. >&2; exit 1 ;; esac\n")
                self.assertIs(manager().is_running("coder"), False)


class TestWindows(unittest.TestCase):
    """What installs a task is the caller's."""

    def setUp(self):
        self.calls = []
        self.answer = True

    def host(self, verb, **options):
        self.calls.append((verb, options))
        return self.answer

    def test_install_hands_its_options_on(self):
        s6.WindowsServiceManager(host=self.host).install(force=True, start_now=True, start_on_login=False,
                                                         elevated_handoff=True)
        self.assertEqual(self.calls, [("install", {"force": True, "start_now": True, "start_on_login": False,
                                                   "elevated_handoff": True})])

    def test_install_has_defaults(self):
        s6.WindowsServiceManager(host=self.host).install()
        self.assertEqual(self.calls, [("install", {"force": False, "start_now": None, "start_on_login": None,
                                                   "elevated_handoff": False})])

    def test_uninstall_hands_its_options_on(self):
        s6.WindowsServiceManager(host=self.host).uninstall(quiet=True)
        self.assertEqual(self.calls, [("uninstall", {"quiet": True})])

    def test_is_installed_is_the_hosts_answer(self):
        for self.answer in (True, False):
            self.assertIs(s6.WindowsServiceManager(host=self.host).is_installed(), self.answer)

    def test_the_factory_takes_the_host(self):
        with mock.patch.dict(os.environ, HERMES_SERVICE_MANAGER="windows"):
            s6.get_service_manager(host=self.host).install()
        self.assertEqual([verb for verb, _ in self.calls], ["install"])

    def test_without_a_host_nothing_is_installed(self):
        with self.assertRaisesRegex(NotImplementedError, "install"):
            s6.WindowsServiceManager().install()


if __name__ == "__main__":
    unittest.main()
