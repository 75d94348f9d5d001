"""The service manager of the Hermes command line, over the programs of hermes-s6.

Each call runs one of hermes-svc-register, hermes-svc-unregister, hermes-svc,
hermes-svstat and hermes-detect, which are looked for on PATH, without a shell.
Nothing is remembered between calls, so a manager may be shared by threads. What
the programs warn of goes to the logger "hermes_s6".

Every error is a ServiceError, and the built-in exception that its exit code stands
for as well.
"""
from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import os
import re
import subprocess
from typing import Any, Dict, List, Literal, Mapping, Optional, Protocol
from typing import Sequence, Tuple, Type, Union, cast, runtime_checkable

ServiceManagerKind = Literal["s6", "systemd", "launchd", "windows", "none"]

# In seconds; None or infinity is no limit. By default it is 10, and more for a gateway
# with agents at work, as the programs have it.
Timeout = Union[float, None, Literal["default"]]

_KINDS = ("s6", "systemd", "launchd", "windows", "none")
_LOG = logging.getLogger("hermes_s6")

# A profile's slot is called gateway-NAME, and s6-svscan takes 251 bytes.
_PROFILE = re.compile(r"[a-z0-9][a-z0-9_-]{0,242}")
_ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# The programs have a --timeout of their own. Ours is for one that does not keep it:
# unregister waits so long for its turn and so long for the gateway, then up to 7 s
# for what it has killed and 2 s for supervisors. Of several gateways some may have to
# wait for others: the registrar is asked for a few at a time.
_TURNS = 2
_GRACE = 15.0
_DEFAULT = 10.0
_MOST = 2.0**31 / 1000  # what the programs take, and poll(2)


class ServiceError(Exception):
    """What a program said on stderr, with its name, is the message."""

    program: str = ""
    returncode: int = 0
    stderr: str = ""


class S6Error(ServiceError, RuntimeError):
    """Exit code 1, or one not listed here.

    1 is for several gateways of which some failed, and for one that was to be up
    and has ended instead.
    """


class ServiceTimeoutError(ServiceError, TimeoutError):
    """It took too long (exit code 99)."""


class InvalidInputError(ServiceError, ValueError):
    """A profile's name, an environment key or an option is wrong (exit code 100)."""


class AlreadyRegisteredError(ServiceError, ValueError):
    """The profile has a slot (exit code 101)."""


class GatewayNotRegisteredError(S6Error):
    """No such gateway (exit code 102)."""

    profile: str = ""  # where one was asked for


class UnsupportedError(ServiceError, NotImplementedError):
    """Not with this service manager, or there is none (exit code 103)."""


class S6CommandError(S6Error):
    """A program of s6, or of the host's service manager, failed (exit code 110)."""


class ServiceOSError(ServiceError, OSError):
    """A system call failed (exit code 111)."""


class ProgramNotFoundError(ServiceError, FileNotFoundError):
    """A program is not there, of s6's or of hermes-s6's own (exit code 127)."""


_ERRORS: Mapping[int, Type[ServiceError]] = {
    1: S6Error,
    99: ServiceTimeoutError,
    100: InvalidInputError,
    101: AlreadyRegisteredError,
    102: GatewayNotRegisteredError,
    103: UnsupportedError,
    110: S6CommandError,
    111: ServiceOSError,
    127: ProgramNotFoundError,
}


def _error(code: int, message: str, program: str = "", stderr: str = "") -> ServiceError:
    error = _ERRORS.get(code, S6Error)(message)
    error.program, error.returncode, error.stderr = program, code, stderr
    return error


def validate_profile_name(name: str) -> None:
    """Raise ValueError for a name that no profile can have, as the programs do."""
    if not _PROFILE.fullmatch(name):
        raise _error(100, f"invalid profile name {name[:60]!r}: it must be 1 to 243 of a-z, 0-9, '_' and '-', "
                          "and begin with a-z or 0-9")


def _run(program: str, *args: str, stdin: str = "", env: Optional[Mapping[str, str]] = None,
         limit: Optional[float] = _GRACE, answers: Sequence[int] = (0,)) -> str:
    """Run program for at most limit seconds and return its stdout.

    An exit code that is none of answers is raised. However we leave, also by
    KeyboardInterrupt, the program has ended or is killed. (Python loses it where the
    signal comes while it makes the process; a terminal signals the program as well.)
    What it was at is then mended by the next that works on the same gateway.
    """
    try:
        done = subprocess.run([program, *args], input=os.fsencode(stdin), capture_output=True, env=env, timeout=limit)
    except subprocess.TimeoutExpired as e:
        raise _error(99, f"{program}: no answer in {e.timeout:g} s: killed", program) from None
    except FileNotFoundError as e:
        raise _error(127, f"{program}: not found on PATH; install hermes-s6", program) from e
    except OSError as e:
        # A program's arguments can be too long for the kernel, but not its stdin.
        code = 100 if e.errno == errno.E2BIG else 111
        raise _error(code, f"{program}: {e}", program) from e
    except ValueError as e:  # a NUL in an argument, half of a character
        raise _error(100, f"{program}: invalid argument: {e}", program) from e
    # The programs speak UTF-8, but may have to repeat what is none.
    stderr = done.stderr.decode("utf-8", "replace")
    fatal = []
    for line in stderr.split("\n"):
        if line.startswith(f"{program}: warning: "):
            _LOG.warning("%s", line)
        elif line:
            fatal.append(line)
    if done.returncode not in answers:
        message = "\n".join(fatal) or f"{program}: exit code {done.returncode}"
        raise _error(done.returncode, message, program, stderr)
    return done.stdout.decode("utf-8", "replace")


def _environment(extra: Mapping[str, str]) -> Tuple[List[str], str]:
    """Return the options and the stdin that hand extra to hermes-svc-register.

    Anybody can read a program's arguments, so values go by stdin. It holds a
    variable a line: a value of several lines has to be an argument.
    """
    options, lines = [], []
    for key, value in extra.items():
        # In a line, "#A" would be a comment, and "A=B" something else.
        if not _ENV_KEY.fullmatch(key):
            raise _error(100, f"invalid environment key {key[:60]!r}: it must match {_ENV_KEY.pattern}")
        if "\n" in value:
            options.append(f"--env={key}={value}")
        else:
            lines.append(f"{key}={value}\n")
    if lines:
        options.append("--env-file=-")
    return options, "".join(lines)


@runtime_checkable
class ServiceManager(Protocol):
    """What runs gateways, which it knows by the names of their profiles.

    Who registers or unregisters asks supports_runtime_registration() first.
    """

    kind: ServiceManagerKind

    def start(self, name: str) -> None: ...
    def stop(self, name: str) -> None: ...
    def restart(self, name: str) -> None: ...
    def is_running(self, name: str) -> bool: ...
    def supports_runtime_registration(self) -> bool: ...

    def register_profile_gateway(self, profile: str, *, extra_env: Optional[Mapping[str, str]] = None,
                                 start_now: bool = True) -> None: ...

    def unregister_profile_gateway(self, profile: str) -> None: ...
    def list_profile_gateways(self) -> List[str]: ...


class _Manager:
    """What all service managers have in common."""

    kind: ServiceManagerKind

    def __init__(self, *, timeout: Timeout = "default") -> None:
        """timeout is for each call; ValueError where it is no number of seconds from 0 to 2147483."""
        if timeout == math.inf:
            timeout = None
        if timeout not in (None, "default") and not 0 <= float(timeout) <= _MOST:
            raise _error(100, f"invalid timeout {timeout!r}: it must be 0 to {_MOST:.0f} seconds, or None")
        self.timeout = timeout

    def start(self, name: str, *more: str, wait: bool = False) -> None:
        """Start gateways. What was asked for is recorded, as by stop and restart."""
        self._svc("start", wait, name, *more)

    def stop(self, name: str, *more: str, wait: bool = False) -> None:
        """Stop gateways. With wait, return when they are down."""
        self._svc("stop", wait, name, *more)

    def restart(self, name: str, *more: str) -> None:
        """Restart gateways, and return when they are up under new pids."""
        self._svc("restart", False, name, *more)

    def is_running(self, name: str) -> bool:
        """Tell whether the gateway is up; one that there is not is not."""
        try:
            return bool(self.status(name)["up"])
        except GatewayNotRegisteredError:
            return False

    def status(self, name: str) -> Dict[str, Any]:
        """Return what hermes-svstat --json knows of the gateway, by its keys.

        On a host that is name, up, and pid where it is known, else None.
        """
        out = self._call("hermes-svstat", [], self._which() + ["--json"], [name], answers=(0, 1))
        try:
            return cast(Dict[str, Any], json.loads(out))
        except ValueError as e:
            raise _error(110, f"hermes-svstat: its answer cannot be read: {e}", "hermes-svstat") from e

    def list_profile_gateways(self) -> List[str]:
        """Return the profiles that have a slot, sorted; none on a host."""
        return self._call("hermes-svstat", [], ["--list"]).split()

    def _svc(self, verb: str, wait: bool, *names: str) -> None:
        self._call("hermes-svc", [verb], self._which() + self._patience() + ["--wait"] * wait, names)

    def _which(self) -> List[str]:
        return []

    def _patience(self) -> List[str]:
        if self.timeout == "default":
            return []
        # For the programs 0 is no limit.
        return [f"--timeout={0 if self.timeout is None else max(1, math.ceil(self.timeout * 1000))}"]

    def _limit(self, count: int) -> Optional[float]:
        """Return how long a program may take for count gateways."""
        if self.timeout is None:
            return None
        timeout, drain = self.timeout, 0.0
        if timeout == "default":
            timeout = _DEFAULT
            with contextlib.suppress(ValueError):  # the programs say what is wrong with it
                drain = int(os.environ.get("HERMES_DRAIN_TIMEOUT") or 60000) / 1000
        limit = drain + max(1, count) * (_TURNS * timeout + _GRACE)
        return limit if limit < _MOST else None

    def _options(self) -> List[str]:
        return []

    def _call(self, program: str, verb: List[str], options: List[str], names: Sequence[str] = (),
              stdin: str = "", answers: Sequence[int] = (0,)) -> str:
        for name in names:
            validate_profile_name(name)
        # The programs are not to find another service manager than we have.
        env = dict(os.environ, HERMES_SERVICE_MANAGER=self.kind)
        try:
            return _run(program, *verb, *self._options(), *options, "--", *names,
                        stdin=stdin, env=env, limit=self._limit(len(names)), answers=answers)
        except GatewayNotRegisteredError as e:
            if len(names) == 1:
                e.profile = names[0]
            raise


class S6ServiceManager(_Manager):
    """Gateways under s6, each in its slot, the service directory gateway-NAME."""

    kind: ServiceManagerKind = "s6"

    def __init__(self, scandir: Union[str, os.PathLike[str], None] = None, *,
                 timeout: Timeout = "default") -> None:
        """scandir is S6_PROFILE_GATEWAY_SCANDIR or /run/service where it is None."""
        super().__init__(timeout=timeout)
        self.scandir = scandir

    def _options(self) -> List[str]:
        return [] if self.scandir is None else [f"--scandir={os.fsdecode(self.scandir)}"]

    def supports_runtime_registration(self) -> bool:
        return True

    def register_profile_gateway(self, profile: str, *, extra_env: Optional[Mapping[str, str]] = None,
                                 start_now: bool = True, port: Optional[int] = None,
                                 command: Optional[str] = None, dialect: Optional[str] = None,
                                 keep: bool = False, replace: bool = False, wait: bool = False) -> None:
        """Make the profile's slot and have it supervised.

        port is derived from the name unless given. command is split as a shell
        splits words, {profile} replaced. dialect is "sh" or "execline". Where
        there is a slot already, keep leaves it, replace changes it in place, which
        counts from the gateway's next start, and else AlreadyRegisteredError is
        raised. With wait, return when the gateway is up.
        """
        options, stdin = _environment(extra_env or {})
        for name, value in (("port", port), ("command", command), ("dialect", dialect)):
            if value is not None:
                options.append(f"--{name}={value}")
        for name, on in (("down", not start_now), ("keep", keep), ("replace", replace), ("wait", wait)):
            if on:
                options.append(f"--{name}")
        self._call("hermes-svc-register", [], self._patience() + options, [profile], stdin)

    def unregister_profile_gateway(self, profile: str, *more: str) -> None:
        """Stop gateways and remove their slots; one that has none is no error.

        Afterwards no process of them is left. One that has not stopped by the
        timeout is killed, which is logged.
        """
        self._call("hermes-svc-unregister", [], self._patience(), [profile, *more])


class _HostServiceManager(_Manager):
    """Gateways as services that `hermes gateway install` has made on a host."""

    def supports_runtime_registration(self) -> bool:
        return False

    def register_profile_gateway(self, profile: str, **_: Any) -> None:
        """Raise UnsupportedError: there are no slots here."""
        self._call("hermes-svc-register", [], [], [profile])

    def unregister_profile_gateway(self, profile: str, *more: str) -> None:
        """Raise UnsupportedError: there are no slots here."""
        self._call("hermes-svc-unregister", [], [], [profile, *more])


class SystemdServiceManager(_HostServiceManager):
    """The units hermes-gateway[-NAME].service, the user's or the system's."""

    kind: ServiceManagerKind = "systemd"

    def __init__(self, *, system: bool = False, timeout: Timeout = "default") -> None:
        super().__init__(timeout=timeout)
        self.system = system

    def _which(self) -> List[str]:
        return ["--system"] * self.system


class LaunchdServiceManager(_HostServiceManager):
    """The user's agents ai.hermes.gateway[-NAME]."""

    kind: ServiceManagerKind = "launchd"


class WindowsServiceManager(_HostServiceManager):
    """The scheduled tasks Hermes_Gateway[_NAME]."""

    kind: ServiceManagerKind = "windows"


def detect_service_manager() -> ServiceManagerKind:
    """Tell which service manager is in charge, as the programs see it.

    HERMES_SERVICE_MANAGER names it, else hermes-detect finds it, else a scan
    directory that is named means s6.
    """
    kind = os.environ.get("HERMES_SERVICE_MANAGER") or _run("hermes-detect", answers=(0, 1)).strip()
    if kind not in _KINDS:
        raise _error(100, f"invalid service manager {kind!r}: it must be one of {', '.join(_KINDS)}")
    if kind == "none" and not os.environ.get("HERMES_SERVICE_MANAGER") and os.environ.get("S6_PROFILE_GATEWAY_SCANDIR"):
        kind = "s6"
    return cast(ServiceManagerKind, kind)


_MANAGERS: Mapping[str, Type[_Manager]] = {
    "s6": S6ServiceManager,
    "systemd": SystemdServiceManager,
    "launchd": LaunchdServiceManager,
    "windows": WindowsServiceManager,
}


def get_service_manager(*, timeout: Timeout = "default") -> ServiceManager:
    """Return the service manager that is in charge; UnsupportedError for none."""
    kind = detect_service_manager()
    if kind not in _MANAGERS:
        raise _error(103, "service manager: none was found")
    return cast(ServiceManager, _MANAGERS[kind](timeout=timeout))
