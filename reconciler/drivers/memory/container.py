"""What state is a container in, and how does inspect show it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.drivers.memory.document import stamp
from reconciler.drivers.memory.image import Behaviour, Image
from reconciler.drivers.memory.network import Endpoint, Published
from reconciler.drivers.memory.volume import Mount, StoredFile
from reconciler.model.observed import Phase, Probe

_NANOSECONDS = 1e9
_ALIVE = (Phase.RUNNING, Phase.PAUSED, Phase.RESTARTING)


@dataclass(slots=True)
class Container:
    """A container. It changes; what inspect shows of it is a document of its own each time.

    run             how often it was started: what was set up for an earlier run is void
    backoff_seconds how long the engine waited before the last restart of its own
    frozen          what fell due while it was paused
    stopped_by_hand somebody stopped or killed it through the engine: `unless-stopped` obeys
    """

    id: str
    name: str
    created: datetime
    image: Image
    config: dict[str, Any]
    host: dict[str, Any]
    mounts: list[Mount]
    endpoints: dict[str, Endpoint]
    phase: Phase = Phase.CREATED
    probe: Probe | None = None
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started: datetime | None = None
    finished: datetime | None = None
    started_monotonic: float = 0.0
    restarts: int = 0
    backoff_seconds: float = 0.0
    stopped_by_hand: bool = False
    run: int = 0
    ports: Published = field(default_factory=dict)
    files: dict[str, StoredFile] = field(default_factory=dict)
    lines: list[tuple[datetime, str, str]] = field(default_factory=list)
    frozen: list[Callable[[], None]] = field(default_factory=list)

    @property
    def labels(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.config["Labels"]
        return found

    @property
    def command(self) -> list[str]:
        return [*(self.config["Entrypoint"] or ()), *(self.config["Cmd"] or ())]

    @property
    def behaviour(self) -> Behaviour:
        return self.image.behaviour_of(self.command)

    @property
    def alive(self) -> bool:
        """The engine counts it as running: its process lives, is frozen, or is about to be started again."""
        return self.phase in _ALIVE

    @property
    def network_mode(self) -> str:
        return str(self.host["NetworkMode"])

    @property
    def policy(self) -> str:
        """Its restart policy's name, "no" where it has none."""
        return str(self.host["RestartPolicy"]["Name"] or "no")

    def restarts_after(self, exit_code: int) -> bool:
        """Say whether the engine starts it again by itself after such an end."""
        if self.policy == "on-failure":
            most = self.host["RestartPolicy"]["MaximumRetryCount"]
            return exit_code != 0 and (not most or self.restarts < most)
        return self.policy == "always" or (self.policy == "unless-stopped" and not self.stopped_by_hand)

    def starts_with_engine(self) -> bool:
        """Say whether an engine that comes up starts it: never what nobody ever started, `always` even what was stopped."""
        if self.phase is Phase.CREATED:
            return False
        if self.policy == "on-failure":
            return self.exit_code != 0
        return self.policy == "always" or (self.policy == "unless-stopped" and not self.stopped_by_hand)

    def health_timing(self) -> tuple[float, float, int] | None:
        """Return interval and start period in seconds and retries of its healthcheck, None where it has none."""
        check = self.config.get("Healthcheck") or {}
        if not check.get("Test") or check["Test"][0] == "NONE":
            return None
        interval = (check.get("Interval") or 30 * _NANOSECONDS) / _NANOSECONDS
        return interval, (check.get("StartPeriod") or 0) / _NANOSECONDS, check.get("Retries") or 3

    def document(self) -> dict[str, Any]:
        """Return what inspect shows."""
        program, *arguments = self.command or [""]
        return {
            "Id": self.id,
            "Created": stamp(self.created),
            "Path": program,
            "Args": arguments,
            "State": self._state(),
            "Image": self.image.id,
            "Name": f"/{self.name}",
            "RestartCount": self.restarts,
            "Driver": "overlay2",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": None,
            "HostConfig": dict(self.host),
            "Mounts": [dict(mount) for mount in self.mounts],
            "Config": dict(self.config),
            "NetworkSettings": self._network_settings(),
        }

    def _state(self) -> dict[str, Any]:
        return {
            "Status": self.phase.value,
            "Running": self.alive,
            "Paused": self.phase is Phase.PAUSED,
            "Restarting": self.phase is Phase.RESTARTING,
            "OOMKilled": self.oom_killed,
            "Dead": self.phase is Phase.DEAD,
            "Pid": int(self.id[:4], 16) + 1 if self.phase in (Phase.RUNNING, Phase.PAUSED) else 0,
            "ExitCode": self.exit_code,
            "Error": self.error,
            "StartedAt": stamp(self.started),
            "FinishedAt": stamp(self.finished),
            **self._health(),
        }

    def _health(self) -> dict[str, Any]:
        if self.probe is None:
            return {}
        return {"Health": {"Status": self.probe.value, "FailingStreak": 0, "Log": []}}

    def _shown_ports(self) -> dict[str, Any]:
        inside = self.phase in (Phase.RUNNING, Phase.PAUSED) and self.network_mode not in ("host", "none") and self.endpoints
        exposed = dict.fromkeys(self.config.get("ExposedPorts") or ()) if inside else {}
        return {**exposed, **{key: [dict(entry) for entry in entries] for key, entries in self.ports.items()}}

    def _network_settings(self) -> dict[str, Any]:
        default = self.endpoints["bridge"].document() if "bridge" in self.endpoints else {}
        shown = ("EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress")
        return {
            "Bridge": "",
            "HairpinMode": False,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "Ports": self._shown_ports(),
            "SecondaryIPAddresses": None,
            "SecondaryIPv6Addresses": None,
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "IPv6Gateway": "",
            **{key: default.get(key, 0 if key == "IPPrefixLen" else "") for key in shown},
            "Networks": {name: endpoint.document() for name, endpoint in sorted(self.endpoints.items())},
        }
