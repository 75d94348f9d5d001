"""What callers may write where their types are checked: `make lint` does, nothing runs this."""
from pathlib import Path
from typing import Any, Dict, List, Optional

import hermes_s6 as s6


def any_manager_will_do() -> List[s6.ServiceManager]:
    return [s6.S6ServiceManager(), s6.SystemdServiceManager(), s6.LaunchdServiceManager(),
            s6.WindowsServiceManager(), s6.get_service_manager()]


class Own:
    """A manager of a caller's, whose methods return nothing."""

    kind: s6.ServiceManagerKind = "none"

    def start(self, name: str) -> None: ...
    def stop(self, name: str) -> None: ...
    def restart(self, name: str) -> None: ...

    def is_running(self, name: str) -> bool:
        return False

    def supports_runtime_registration(self) -> bool:
        return True

    def register_profile_gateway(self, profile: str, *, extra_env: object = None, start_now: bool = True) -> None: ...
    def unregister_profile_gateway(self, profile: str) -> None: ...

    def list_profile_gateways(self) -> List[str]:
        return []


def what_is_found_has_all(timeout: Optional[float]) -> Dict[str, Any]:
    manager = s6.get_service_manager(timeout=timeout)
    if isinstance(manager, s6.S6ServiceManager):
        manager.register_profile_gateway("coder", extra_env={"TOKEN": "x"}, port=9300, wait=True)
        ready: bool = manager.wait_ready("coder", timeout=60)
        with manager.follow() as states:
            return next(states, {"ready": ready})
    if isinstance(manager, s6.WindowsServiceManager):
        manager.install(force=True)
    became: str = manager.start("coder", wait=True)["coder"]
    pid: Optional[int] = manager.supervised_pid("coder")
    return dict(manager.status("coder"), became=became, pid=pid)


def functions_take_any_manager(home: Path) -> bool:
    actions = s6.reconcile_profile_gateways(hermes_home=home, scandir="/run/service", dry_run=True)
    return s6.register_unregistered_profile_gateway(Own(), actions[0].profile)


def one_handler_is_enough() -> str:
    try:
        s6.S6ServiceManager(Path("/run/service"), timeout=None).stop("coder", "writer")
    except s6.GatewayNotRegisteredError as e:
        return e.profile
    except s6.ServiceError as e:
        return f"{e.program} {e.returncode} {e.stderr}"
    return ""
