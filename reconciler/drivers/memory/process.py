"""What becomes of a container's process as time goes by?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from reconciler.drivers.memory.container import Container
from reconciler.drivers.memory.engine import Engine
from reconciler.drivers.memory.image import Behaviour
from reconciler.drivers.memory.network import publish
from reconciler.drivers.memory.refusal import EngineError
from reconciler.model.observed import Phase, Probe

KILLED = 137
GRACE_SECONDS = 10.0
_FIRST_BACKOFF, _LONGEST_BACKOFF, _STABLE_SECONDS = 0.1, 60.0, 10.0


class Processes:
    """Starts, stops and watches the processes of an engine's containers on its clock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._clock = engine.journal.clock

    def start(self, container: Container) -> None:
        """Start a container; one that runs already is left alone. Raises EngineError and keeps the reason in its state."""
        if container.phase is Phase.PAUSED:
            raise EngineError(409, "cannot start a paused container, try unpause instead")
        if container.alive:
            return
        container.restarts, container.backoff_seconds, container.stopped_by_hand = 0, 0.0, False
        self._boot(container)

    def stop(self, container: Container, grace_seconds: float | None) -> None:
        """Ask the process to end, and kill it when the grace is over. Takes that long, on the clock."""
        if not container.alive:
            return
        container.stopped_by_hand = True
        if container.phase is Phase.RESTARTING:
            container.phase, container.finished = Phase.EXITED, self._clock.now()
        else:
            self._terminate(container, _grace(container) if grace_seconds is None else grace_seconds)
        self._engine.note(container, "stop")

    def kill(self, container: Container) -> None:
        """Kill the process through the engine, which does not start it again."""
        if not container.alive:
            raise EngineError(409, f"Cannot kill container: {container.name}: Container {container.id} is not running")
        container.stopped_by_hand = True
        self._engine.note(container, "kill", signal="9")
        if container.phase is Phase.RESTARTING:
            container.phase = Phase.EXITED
        else:
            self._ended(container, KILLED, stays=True)

    def die(self, container: Container, exit_code: int, *, out_of_memory: bool = False) -> None:
        """Let the process end by itself; the engine may start it again."""
        if container.phase in (Phase.RUNNING, Phase.PAUSED):
            container.oom_killed = out_of_memory
            self._ended(container, exit_code)

    def pause(self, container: Container) -> None:
        if container.phase is Phase.PAUSED:
            raise EngineError(409, f"Container {container.id} is already paused")
        self.require_running(container)
        container.phase = Phase.PAUSED
        if container.probe:
            container.probe = Probe.UNHEALTHY  # Nobody probes a frozen process; the engine says so in this way.
        self._engine.note(container, "pause")

    def unpause(self, container: Container) -> None:
        if container.phase is not Phase.PAUSED:
            raise EngineError(500, f"Container {container.id} is not paused")
        container.phase = Phase.RUNNING
        self._engine.note(container, "unpause")
        thawed, container.frozen = container.frozen, []
        for action in thawed:
            action()
        self._probe_again(container)

    def execute(self, container: Container, command: Iterable[str]) -> int:
        """Run a command inside; return its exit code."""
        if container.phase is Phase.PAUSED:
            raise EngineError(409, f"Container {container.id} is paused, unpause the container before exec")
        self.require_running(container)
        return int(" ".join(command) in container.behaviour.failing_hooks)

    def require_running(self, container: Container) -> None:
        if container.phase is Phase.RESTARTING:
            raise EngineError(409, f"Container {container.id} is restarting, wait until the container is running")
        if container.phase is not Phase.RUNNING:
            raise EngineError(409, f"Container {container.id} is not running")

    def turn(self, container: Container, probe: Probe) -> None:
        """Let the healthcheck of a running container come to another result."""
        if container.phase is Phase.RUNNING and container.probe not in (None, probe):
            container.probe = probe
            self._engine.note(container, f"health_status: {probe.value}")

    def connect(self, container: Container, network: str, asked: Mapping[str, Any]) -> None:
        """Put a container on a network; one that runs and was on none gets its host ports back."""
        self._engine.connect(container, network, asked)
        if container.phase in (Phase.RUNNING, Phase.PAUSED) and not container.ports:
            container.ports = self._published(container)

    def restart_engine(self) -> None:
        """Stop every process as an engine does that goes down, then start what starts with the engine."""
        for container in tuple(self._engine.containers.values()):
            if container.phase is Phase.RESTARTING:
                container.phase = Phase.EXITED
            elif container.alive:
                self._ended(container, KILLED if container.behaviour.ignores_term else 0, stays=True)
        for container in tuple(self._engine.containers.values()):
            if container.starts_with_engine():
                self._again(container)

    def _terminate(self, container: Container, grace_seconds: float) -> None:
        self._engine.note(container, "kill", signal="15")
        run = container.run
        if not container.behaviour.ignores_term:
            self._ended(container, 0, stays=True)
            return
        self._clock.advance(grace_seconds)
        if container.run == run and container.alive:
            self._engine.note(container, "kill", signal="9")
            self._ended(container, KILLED, stays=True)

    def _boot(self, container: Container) -> None:
        try:
            self._enter(container)
        except EngineError as error:
            self._failed(container, error)
            raise
        container.phase, container.exit_code, container.error, container.oom_killed = Phase.RUNNING, 0, "", False
        container.started, container.started_monotonic = self._clock.now(), self._clock.monotonic()
        container.run += 1
        container.probe = Probe.STARTING if container.health_timing() else None
        container.lines += [(self._clock.now(), stream, text) for stream, text in container.behaviour.logs]
        self._engine.note(container, "start")
        self._foresee(container)

    def _enter(self, container: Container) -> None:
        """Give a process its namespaces, networks and ports, then its command. Raises EngineError for what is not to be had."""
        self._share_namespaces(container)
        for endpoint in container.endpoints.values():
            network = self._engine.networks.get(endpoint.network_id or endpoint.network)
            network.join(endpoint, container.id)
            if network.name not in ("bridge", "host", "none") and container.id[:12] not in endpoint.aliases:
                endpoint.aliases = (*endpoint.aliases, container.id[:12])
            self._engine.note_network(network, "connect", container)
        if container.network_mode != "host" and container.endpoints:
            container.ports = self._published(container)
        if container.behaviour.bad_command:
            raise _no_command(container)

    def _share_namespaces(self, container: Container) -> None:
        for key, what in (("NetworkMode", "network"), ("PidMode", "PID"), ("IpcMode", "IPC")):
            kind, _, handle = container.host[key].partition(":")
            if kind == "container" and self._engine.get(handle).phase is not Phase.RUNNING:
                raise EngineError(409, f"cannot join {what} of a non running container: {handle}")

    def _published(self, container: Container) -> dict[str, list[dict[str, str]]]:
        exposed = container.config.get("ExposedPorts") or {}
        # The engine publishes no port that the container does not expose.
        wanted = {port: bound for port, bound in (container.host["PortBindings"] or {}).items() if port in exposed}
        try:
            return publish(wanted, [other.ports for other in self._engine.containers.values() if other is not container])
        except EngineError as error:
            where = f"on endpoint {container.name} ({next(iter(container.endpoints.values())).id})"
            raise EngineError(500, f"driver failed programming external connectivity {where}: {error.message}") from None

    def _failed(self, container: Container, error: EngineError) -> None:
        self._leave(container)
        container.error = error.message
        no_command = container.behaviour.bad_command and error.status == 400
        container.exit_code = 127 if no_command else container.exit_code or 128
        if container.phase is Phase.RESTARTING:
            container.phase = Phase.EXITED

    def _foresee(self, container: Container) -> None:
        behaviour = container.behaviour
        if behaviour.exits is not None:
            exit_code = behaviour.exits
            self._later(container, behaviour.after, lambda: self.die(container, exit_code))
        timing = container.health_timing()
        for seconds, probe in _flips(behaviour, *timing) if timing else ():
            self._later(container, seconds, self._turning(container, probe))

    def _turning(self, container: Container, probe: Probe) -> Callable[[], None]:
        return lambda: self.turn(container, probe)

    def _later(self, container: Container, seconds: float, action: Callable[[], None]) -> None:
        """Have it happen unless this run of the container is over by then; a frozen process waits until it is thawed."""
        run = container.run

        def happen() -> None:
            with self._engine.journal.changed:
                if container.run != run or not container.alive:
                    return
                if container.phase is Phase.PAUSED:
                    container.frozen.append(action)
                else:
                    action()

        self._clock.call_later(seconds, happen)

    def _probe_again(self, container: Container) -> None:
        timing = container.health_timing()
        if timing and not container.behaviour.never_healthy:
            self._later(container, timing[0], self._turning(container, Probe.HEALTHY))

    def _ended(self, container: Container, exit_code: int, *, stays: bool = False) -> None:
        ran = self._clock.monotonic() - container.started_monotonic
        self._leave(container)
        container.phase, container.exit_code, container.finished = Phase.EXITED, exit_code, self._clock.now()
        container.probe = container.probe and Probe.UNHEALTHY
        container.frozen = []
        self._engine.note(container, "die", exitCode=str(exit_code))
        if not stays and container.restarts_after(exit_code):
            self._restart_later(container, ran)
        elif container.host["AutoRemove"]:
            self._engine.remove(container, volumes=True)

    def _restart_later(self, container: Container, ran: float) -> None:
        before = 0.0 if ran >= _STABLE_SECONDS else container.backoff_seconds
        container.backoff_seconds = min(2 * before, _LONGEST_BACKOFF) if before else _FIRST_BACKOFF
        container.restarts += 1
        container.phase = Phase.RESTARTING
        self._later(container, container.backoff_seconds, lambda: self._again(container))

    def _again(self, container: Container) -> None:
        try:
            self._boot(container)
        except EngineError:
            return  # Nobody asked, so nobody is answered: the container's state holds the reason.

    def _leave(self, container: Container) -> None:
        for endpoint in container.endpoints.values():
            network = self._engine.networks.find(endpoint.network_id) if endpoint.id else None
            if network:
                network.leave(endpoint)
                self._engine.note_network(network, "disconnect", container)
        container.ports = {}


def _grace(container: Container) -> float:
    asked = container.config.get("StopTimeout")
    return GRACE_SECONDS if asked is None else float(asked)


def _flips(behaviour: Behaviour, interval: float, start_period: float, retries: int) -> Iterator[tuple[float, Probe]]:
    """Yield when the healthcheck's result changes, in seconds after the start, and to what."""
    healthy_at = interval if behaviour.health_after is None else behaviour.health_after
    given_up_at = (start_period // interval + retries) * interval
    if behaviour.never_healthy or given_up_at < healthy_at:
        yield given_up_at, Probe.UNHEALTHY
    if not behaviour.never_healthy:
        yield healthy_at, Probe.HEALTHY
    if behaviour.unhealthy_after is not None:
        yield behaviour.unhealthy_after, Probe.UNHEALTHY


def _no_command(container: Container) -> EngineError:
    program = container.command[0] if container.command else ""
    words = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process"
    return EngineError(400, f'{words}: exec: "{program}": stat {program}: no such file or directory: unknown')
