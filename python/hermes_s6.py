"""The service manager of the Hermes command line, over the programs of hermes-s6.

Each call runs one of hermes-svc-register, hermes-svc-unregister, hermes-svc,
hermes-svstat, hermes-detect and hermes-reconcile, which are looked for on PATH,
without a shell. Nothing is remembered between calls, so a manager may be shared by
threads. What the programs warn of goes to the logger "hermes_s6".

Every error is a ServiceError, and the built-in exception that its exit code stands
for as well.
"""
from __future__ import annotations

import contextlib
import copy
import errno
import json
import logging
import math
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Literal, Mapping, Optional, Protocol
from typing import Sequence, Tuple, Type, Union, cast, runtime_checkable

ServiceManagerKind = Literal["s6", "systemd", "launchd", "windows", "none"]

# In seconds; None or infinity is no limit. By default it is 10, and more for a gateway
# with agents at work, as the programs have it.
Timeout = Union[float, None, Literal["default"]]

# Where s6-svscan looks, unless S6_PROFILE_GATEWAY_SCANDIR says otherwise, and what the
# names of slots begin with.
S6_DYNAMIC_SCANDIR = Path("/run/service")
S6_SERVICE_PREFIX = "gateway-"

# What installs services on a host: called with install, uninstall or is_installed, and
# options as keywords.
Host = Callable[..., Any]

_Path = Union[str, "os.PathLike[str]"]

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

    1 is for several gateways of which some failed, for one that was to be up and has
    ended instead, and for one that was stopped here and goes on in another container.
    profile and service say of which one gateway this is, action what was to be done
    with it: start, stop or restart, else "".
    """

    profile: str = ""
    action: str = ""

    def __init__(self, message: str = "", *, service: Optional[str] = None) -> None:
        super().__init__(message)
        self.service = service


class ServiceTimeoutError(ServiceError, TimeoutError):
    """It took too long (exit code 99)."""


class InvalidInputError(ServiceError, ValueError):
    """A profile's name, an environment key or an option is wrong (exit code 100)."""


class AlreadyRegisteredError(ServiceError, ValueError):
    """The profile has a slot (exit code 101)."""


class GatewayNotRegisteredError(S6Error):
    """No such gateway (exit code 102)."""

    def __init__(self, profile: str, message: str = "") -> None:
        if not message:
            message = f"no such gateway '{profile}': create its profile with `hermes profile create {profile}`"
        super().__init__(message, service=S6_SERVICE_PREFIX + profile if profile else None)
        self.profile = profile


class UnsupportedError(ServiceError, NotImplementedError):
    """Not with this service manager, or there is none (exit code 103)."""


class S6CommandError(S6Error):
    """A program of s6, or of the host's service manager, failed (exit code 110)."""

    def __init__(self, message: str = "", *, service: Optional[str] = None, action: str = "",
                 returncode: int = 110, stderr: str = "") -> None:
        super().__init__(message or f"{action} of {service}: exit code {returncode}: {stderr.strip()}", service=service)
        self.action, self.returncode, self.stderr = action, returncode, stderr


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


# How our programs tell that one of s6's failed, before they say how.
_TOOL = re.compile(r"\b(s6-[a-z]+): (?=exit status |signal: )")


def _error(code: int, message: str, program: str = "", stderr: str = "") -> ServiceError:
    kind = _ERRORS.get(code, S6Error)
    if kind is S6CommandError:  # callers look for "s6-svscanctl failed"
        message = _TOOL.sub(r"\1 failed: ", message, 1)
    error = GatewayNotRegisteredError("", message) if kind is GatewayNotRegisteredError else kind(message)
    error.program, error.returncode, error.stderr = program, code, stderr
    return error


def validate_profile_name(name: str) -> None:
    """Raise ValueError for a name that no profile can have, as the programs do."""
    if not _PROFILE.fullmatch(name):
        raise _error(100, f"invalid profile name {name[:60]!r}: must be 1 to 243 of a-z, 0-9, '_' and '-', "
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
        with _starting(program):
            done = subprocess.run([program, *args], input=os.fsencode(stdin), capture_output=True, env=env, timeout=limit)
    except subprocess.TimeoutExpired as e:
        raise _error(99, f"{program}: no answer in {e.timeout:g} s: killed", program) from None
    # The programs speak UTF-8, but may have to repeat what is none.
    stderr = done.stderr.decode("utf-8", "replace")
    fatal = list(_unlogged(program, stderr.split("\n")))
    if done.returncode not in answers:
        message = "\n".join(fatal) or f"{program}: exit code {done.returncode}"
        raise _error(done.returncode, message, program, stderr)
    for line in fatal:  # what of several could not be done
        _LOG.error("%s", line)
    return done.stdout.decode("utf-8", "replace")


def _unlogged(program: str, lines: Iterable[str]) -> Iterator[str]:
    """Log the warnings among the lines of a program's stderr, with their hints, and yield the others."""
    warned = False
    for line in filter(None, lines):
        if not line.startswith(f"{program}: hint: "):
            warned = line.startswith(f"{program}: warning: ")
        if warned:
            _LOG.warning("%s", line)
        else:
            yield line


@contextlib.contextmanager
def _starting(program: str) -> Iterator[None]:
    """Raise a ServiceError where program cannot be started."""
    try:
        yield
    except FileNotFoundError as e:
        raise _error(127, f"{program}: not found on PATH; install hermes-s6", program) from e
    except OSError as e:
        # A program's arguments can be too long for the kernel, but not its stdin.
        code = 100 if e.errno == errno.E2BIG else 111
        raise _error(code, f"{program}: {e}", program) from e
    except ValueError as e:  # a NUL in an argument, half of a character
        raise _error(100, f"{program}: invalid argument: {e}", program) from e


def _objects(program: str, out: str, least: int = 0) -> List[Dict[str, Any]]:
    """Return what a program's --json has printed, an object a line."""
    try:
        objects = [json.loads(line) for line in out.split("\n") if line]
        if len(objects) < least:
            raise ValueError("empty")
        return objects
    except ValueError as e:
        raise _error(110, f"{program}: unreadable answer: {e}", program) from e


def _listen(program: str, stderr: Any, said: List[str]) -> None:
    """Log the warnings on a program's stderr, to its end, and keep the rest."""
    with stderr:
        for text in _unlogged(program, (line.decode("utf-8", "replace").rstrip("\n") for line in stderr)):
            said.append(text)


class Following(Iterator[Dict[str, Any]]):
    """What hermes-svstat --follow --json prints, object by object: see follow().

    It is closed by close(), which any thread may call, by the end of a with, and when
    nothing refers to it any more. The program has then ended.
    """

    def __init__(self, args: Sequence[str], env: Mapping[str, str]) -> None:
        self._program, self._said, self._closed = args[0], [], False  # type: str, List[str], bool
        with _starting(self._program):
            self._child = subprocess.Popen(args, env=env, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # It has no reference to us, and so does not keep us.
        self._messages = threading.Thread(target=_listen, args=(self._program, self._child.stderr, self._said), daemon=True)
        self._messages.start()

    def __next__(self) -> Dict[str, Any]:
        if self._closed:
            raise StopIteration
        try:
            line = self._child.stdout.readline()  # type: ignore[union-attr]
        except ValueError:  # another thread has closed it since
            raise StopIteration from None
        if line.endswith(b"\n"):
            return _objects(self._program, line.decode("utf-8", "replace"), 1)[0]
        was_closed = self._closed
        code = self._end()
        if was_closed:  # by another thread
            raise StopIteration
        message = "\n".join(self._said) or f"{self._program}: it ended: exit code {code}"
        raise _error(code, message, self._program, message)

    def close(self) -> None:
        """End the program. Whoever waits for an object gets none any more."""
        self._end()

    def _end(self) -> int:
        self._closed = True
        self._child.kill()  # it has nothing to clean up
        code = self._child.wait()
        if not sys.is_finalizing():  # then the thread does not end any more (3.13)
            self._messages.join()
        self._child.stdout.close()  # type: ignore[union-attr]
        return code

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_messages"):  # else it was never started
            self.close()


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

    start, stop, restart and is_running take the name of a service directory as well:
    gateway-coder is coder. A profile that is really called gateway-coder is meant where
    it has a slot. Who registers or unregisters asks supports_runtime_registration() first.
    What start, stop and restart return is each manager's own.
    """

    kind: ServiceManagerKind

    def start(self, name: str) -> object: ...
    def stop(self, name: str) -> object: ...
    def restart(self, name: str) -> object: ...
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
        if timeout is not None and timeout != "default" and not 0 <= float(timeout) <= _MOST:
            raise _error(100, f"invalid timeout {timeout!r}: must be 0 to {_MOST:.0f} seconds, or None")
        self.timeout = timeout

    def start(self, name: str, *more: str, wait: bool = False) -> Dict[str, str]:
        """Start gateways. What was asked for is recorded, as by stop and restart.

        Each profile is returned with what became of it: with wait, "standby" where the
        gateway runs in another container and this one waits to take over.
        """
        return self._svc("start", ["--wait"] * wait, name, *more)

    def wait_ready(self, name: str, timeout: Union[Timeout, Literal["manager"]] = "manager") -> bool:
        """Wait until the gateway says that it does its work; False where it stands by.

        timeout is as for the manager, whose it is by default; ServiceTimeoutError when
        it is over. S6Error, with the reason, for a gateway that could not start, at
        once; also for one that is not to be up, which is not started.
        """
        waits = self
        if timeout != "manager":
            waits = copy.copy(self)
            _Manager.__init__(waits, timeout=timeout)
        status = self.status(name)
        if not status.get("wantedup", True):  # also while it is up, and is being stopped
            raise _error(1, f"gateway '{self._profile(name)}': it is {'up' if status['up'] else 'down'}, and is not to be up")
        return waits._svc("start", ["--ready"], name) != {self._profile(name): "standby"}

    def stop(self, name: str, *more: str, wait: bool = False) -> Dict[str, str]:
        """Stop gateways. With wait, return when they are down.

        S6Error is raised for one that goes on in another container: it names that.
        """
        return self._svc("stop", ["--wait"] * wait, name, *more)

    def restart(self, name: str, *more: str) -> Dict[str, str]:
        """Restart gateways, and return when they are up under new pids."""
        return self._svc("restart", [], name, *more)

    def is_running(self, name: str) -> bool:
        """Tell whether the gateway is up, or stands by; one that there is not is not."""
        try:
            return bool(self.status(name)["up"])
        except GatewayNotRegisteredError:
            return False

    def supervised_pid(self, name: str) -> Optional[int]:
        """Return the gateway's pid; None where it is down, stands by, or cannot be asked."""
        try:
            status = self.status(name)
        except ServiceError:
            return None
        return None if status.get("standby") else cast(Optional[int], status["pid"])

    _supervised_pid = supervised_pid  # as hermes_cli.service_manager calls it

    def status(self, name: str) -> Dict[str, Any]:
        """Return what hermes-svstat --json knows of the gateway, by its keys.

        "gateway" is what it says of itself, an object or None: its state, platforms
        (name to state), active_agents and attention (what platforms complain of).

        On a host that is name, up, and pid where it is known, else None.
        """
        out = self._call("hermes-svstat", [], self._which() + ["--json"], [self._asked(name)], answers=(0, 1))
        return _objects("hermes-svstat", out, 1)[0]

    def follow(self, *names: str) -> Following:
        """Return an iterator over what status() knows of each gateway, and of each that changes, for ever.

        Without names it is every gateway under s6, those to come included; a name that
        there is not is GatewayNotRegisteredError at the first step. One that is removed
        is {"name": ..., "removed": True}. Close it, or use it in a with:

            with manager.follow() as states:
                for state in states: ...
        """
        args = ["hermes-svstat", *self._options(), *self._which(), "--follow", "--json", "--",
                *(self._asked(name) for name in names)]
        return Following(args, self._env())

    def _env(self) -> Dict[str, str]:
        # The programs are not to find another service manager than we have.
        return dict(os.environ, HERMES_SERVICE_MANAGER=self.kind)

    def _svc(self, verb: str, how: List[str], *names: str) -> Dict[str, str]:
        options = self._which() + self._patience() + ["--json"] + how
        out = self._call("hermes-svc", [verb], options, [self._profile(name) for name in names])
        return {o["name"]: o["action"] for o in _objects("hermes-svc", out)}

    def _profile(self, name: str) -> str:
        """Return the profile that is called name, or whose service directory is."""
        profile = name[len(S6_SERVICE_PREFIX):]
        if name.startswith(S6_SERVICE_PREFIX) and _PROFILE.fullmatch(profile) and not self._has_slot(name):
            name = profile
        validate_profile_name(name)
        return name

    def _has_slot(self, profile: str) -> bool:
        return False

    def _asked(self, name: str) -> str:
        """Return how hermes-svstat is asked about name."""
        return self._profile(name)

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
        try:
            return _run(program, *verb, *self._options(), *options, "--", *names,
                        stdin=stdin, env=self._env(), limit=self._limit(len(names)), answers=answers)
        except S6Error as e:
            if len(names) == 1 and _PROFILE.fullmatch(names[0]):  # and no directory
                e.profile, e.service, e.action = names[0], S6_SERVICE_PREFIX + names[0], "".join(verb)
            raise


class S6ServiceManager(_Manager):
    """Gateways under s6, each in its slot, the service directory gateway-NAME."""

    kind: ServiceManagerKind = "s6"

    def __init__(self, scandir: Optional[_Path] = None, *,
                 timeout: Timeout = "default") -> None:
        """scandir is S6_PROFILE_GATEWAY_SCANDIR or /run/service where it is None."""
        super().__init__(timeout=timeout)
        self._given = scandir

    @property
    def scandir(self) -> Path:
        """The scan directory, in which gateway-NAME is the slot of NAME."""
        return Path(os.fsdecode(self._given or os.environ.get("S6_PROFILE_GATEWAY_SCANDIR") or S6_DYNAMIC_SCANDIR))

    def _options(self) -> List[str]:
        # Unasked the programs find it themselves, and so does the registrar.
        return [] if self._given is None else [f"--scandir={os.fsdecode(self._given)}"]

    def _has_slot(self, profile: str) -> bool:
        return os.path.isdir(self.scandir / (S6_SERVICE_PREFIX + profile))

    def _asked(self, name: str) -> str:
        """Have hermes-svstat look at a service directory that is no slot, too.

        hermes doctor asks whether main-hermes and dashboard are running.
        """
        profile, directory = self._profile(name), self.scandir / name
        return str(directory) if not self._has_slot(profile) and os.path.isdir(directory) else profile

    def list_profile_gateways(self) -> List[str]:
        """Return the profiles that have a slot, sorted; none where there is no scan directory."""
        return self._call("hermes-svstat", [], ["--list"]).split()

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
        validate_profile_name(profile)
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
        for name in (profile, *more):
            validate_profile_name(name)
        self._call("hermes-svc-unregister", [], self._patience(), [profile, *more])


class _HostServiceManager(_Manager):
    """Gateways as services that `hermes gateway install` has made on a host."""

    def supports_runtime_registration(self) -> bool:
        return False

    def register_profile_gateway(self, profile: str, **_: Any) -> None:
        """Raise UnsupportedError: there are no slots here."""
        raise self._no_slots()

    def unregister_profile_gateway(self, profile: str, *more: str) -> None:
        """Raise UnsupportedError: there are no slots here."""
        raise self._no_slots()

    def list_profile_gateways(self) -> List[str]:
        """Return nothing: there are no slots here."""
        return []

    def _no_slots(self) -> ServiceError:
        return _error(103, f"service manager {self.kind}: it has no slots, which s6 has: nothing can be registered")


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

    def __init__(self, *, host: Optional[Host] = None, timeout: Timeout = "default") -> None:
        """host makes and removes the tasks, which the programs do not."""
        super().__init__(timeout=timeout)
        self.host = host

    def install(self, *, force: bool = False, start_now: Optional[bool] = None,
                start_on_login: Optional[bool] = None, elevated_handoff: bool = False) -> Any:
        """Call host("install", ...) with these options, and return its answer."""
        return self._ask("install", force=force, start_now=start_now, start_on_login=start_on_login,
                         elevated_handoff=elevated_handoff)

    def uninstall(self, **options: Any) -> Any:
        """Call host("uninstall", ...), and return its answer."""
        return self._ask("uninstall", **options)

    def is_installed(self) -> bool:
        """Call host("is_installed"), and tell whether its answer is yes."""
        return bool(self._ask("is_installed"))

    def _ask(self, verb: str, **options: Any) -> Any:
        if self.host is None:
            raise _error(103, f"service manager windows: {verb}: WindowsServiceManager was given no host= to do it")
        return self.host(verb, **options)


def detect_service_manager() -> ServiceManagerKind:
    """Tell which service manager is in charge, as the programs see it.

    HERMES_SERVICE_MANAGER names it, else hermes-detect finds it, else a scan
    directory that is named means s6.
    """
    kind = os.environ.get("HERMES_SERVICE_MANAGER") or _run("hermes-detect", answers=(0, 1)).strip()
    if kind not in _KINDS:
        raise _error(100, f"invalid service manager {kind!r}: must be one of {', '.join(_KINDS)}")
    if kind == "none" and not os.environ.get("HERMES_SERVICE_MANAGER") and os.environ.get("S6_PROFILE_GATEWAY_SCANDIR"):
        kind = "s6"
    return cast(ServiceManagerKind, kind)


# What get_service_manager returns: all of them have more than a ServiceManager must.
AnyServiceManager = Union[S6ServiceManager, SystemdServiceManager, LaunchdServiceManager, WindowsServiceManager]

_MANAGERS: Mapping[str, Type[AnyServiceManager]] = {
    "s6": S6ServiceManager,
    "systemd": SystemdServiceManager,
    "launchd": LaunchdServiceManager,
    "windows": WindowsServiceManager,
}


def get_service_manager(*, timeout: Timeout = "default", host: Optional[Host] = None) -> AnyServiceManager:
    """Return the service manager that is in charge; UnsupportedError for none.

    host is for WindowsServiceManager.
    """
    kind = detect_service_manager()
    if kind not in _MANAGERS:
        raise _error(103, "no supported service manager: none was found")
    if kind == "windows":
        return WindowsServiceManager(host=host, timeout=timeout)
    return _MANAGERS[kind](timeout=timeout)


def _profile_dir(profile: str) -> Path:
    """Return the profile's directory; HERMES_HOME may be that of any profile."""
    home = Path(os.environ.get("HERMES_HOME") or "/opt/data")
    if home.parent.name == "profiles":
        home = home.parent.parent
    return home if profile == "default" else home / "profiles" / profile


def register_unregistered_profile_gateway(mgr: ServiceManager, profile: str) -> bool:
    """Register the gateway of a profile that has no slot yet, down.

    False, and nothing done, where there is no such profile: no SOUL.md in its
    directory, or for default, which needs none, no home. S6ServiceManager.start does
    this by itself.
    """
    validate_profile_name(profile)
    marker = "." if profile == "default" else "SOUL.md"
    if not (_profile_dir(profile) / marker).exists():
        return False
    mgr.register_profile_gateway(profile, start_now=False)
    return True


@dataclass(frozen=True)
class ReconcileAction:
    """What was done about one profile.

    action is started, registered, unchanged, updated, skipped, removed, failed or
    folded. prior_exit is unclean or oom where the gateway's last end was such.
    """

    profile: str
    prior_state: Optional[str]
    action: str
    prior_exit: str = "unknown"


def reconcile_profile_gateways(*, hermes_home: _Path, scandir: _Path, dry_run: bool = False) -> List[ReconcileAction]:
    """Make the slots of scandir match the profiles of hermes_home, as at boot.

    A profile that could not be done has the action failed, and why is logged. In a
    dashboard's container there is nothing to do.
    """
    # What is in charge cannot be detected at boot, before s6-svscan runs.
    out = _run("hermes-reconcile", "--json", f"--home={os.fsdecode(hermes_home)}", f"--scandir={os.fsdecode(scandir)}",
               *["--dry-run"] * dry_run, env=dict(os.environ, HERMES_SERVICE_MANAGER="s6"), limit=None, answers=(0, 1))
    return [ReconcileAction(o["profile"], o["prior_state"], o["action"], o.get("prior_exit", "unknown"))
            for o in _objects("hermes-reconcile", out)]


# s6-overlay's stage 2, which runs for as long as the container does. Its arguments are
# a runlevel and the container's command.
_RC_INIT = "/run/s6/basedir/scripts/rc.init"

# Subcommands of hermes that serve people: beside them no gateway is supervised.
_SERVERS = ("dashboard", "serve", "web", "gui", "desktop", "acp", "mcp")


def is_dashboard_container(argv: Optional[Sequence[str]] = None) -> bool:
    """Tell whether a container started as argv, by default this one, supervises no gateways.

    hermes-reconcile finds that out in the same way.
    """
    words = list(_container_argv() if argv is None else argv)
    if _RC_INIT in words[:3]:
        words = words[words.index(_RC_INIT) + 2:]
    # What leads to hermes: the image's wrapper, env, hermes itself.
    while words and ("/" in words[0] or words[0] == "hermes"):
        words.pop(0)
    while words and words[0] != "--":
        word = words.pop(0)
        if word in ("-p", "--profile"):
            del words[:1]  # its value
        elif not word.startswith("-"):
            return word in _SERVERS
    return False


def _container_argv() -> List[str]:
    """Return the command line of stage 2; nothing where there is none.

    Anybody can call a process what he likes: only root's count, and our own, since a
    container may be run without root.
    """
    for entry in os.listdir("/proc") if os.path.exists(_RC_INIT) else ():
        with contextlib.suppress(OSError):  # it has ended, or may not be looked at
            if entry.isdigit() and os.stat(f"/proc/{entry}").st_uid in (0, os.geteuid()):
                with open(f"/proc/{entry}/cmdline", "rb") as f:
                    words = os.fsdecode(f.read()).split("\0")[:-1]
                if _RC_INIT in words[:3]:
                    return words
    return []
