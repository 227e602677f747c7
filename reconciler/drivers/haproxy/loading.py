"""How is a gateway loaded with a config so that no client notices, or stays as it is where HAProxy refuses?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reconciler.drivers.haproxy.console import Console
from reconciler.drivers.haproxy.render import certificate_file, certificate_files, render, trial
from reconciler.drivers.haproxy.statistics import Worker
from reconciler.errors import Refused, Unreachable
from reconciler.model.gateway_container import HOME, IPV6, NEXT, NEXT_SERVERS, RUNNING, SERVERS
from reconciler.model.traffic import CONFIG, DIRECTORY, Admission, Listener, ObservedServer, TrafficConfig

LOADING_SECONDS = 20.0
FAILING_SECONDS = 3.0

_CANDIDATE = "candidate.cfg"
_PORTS = "ports.cfg"
_TRIAL = f"export {HOME}={{home}}; haproxy -c -f {DIRECTORY}/{{config}} || exit; haproxy -db -f {DIRECTORY}/{{ports}} || true"
_ALERT = re.compile(r"^\[ALERT\]\s+\(\d+\) : (?:config : )?(.*)$", re.MULTILINE)
_PLACE = re.compile(rf"\[{DIRECTORY}/[^\s\]]+:\d+\](?: :)? ?")


def load(console: Console, worker: Worker, config: TrafficConfig) -> None:
    """Have the config run, and be what the gateway starts with. Raises Refused; then all is as it was."""
    ipv6 = _has_ipv6(console)
    if worker.description != config.digest:
        text = render(config, worker.servers, ipv6=ipv6)
        _write_certificates(console, config)
        _try(console, text, [one for one in config.listeners if one.name not in worker.listeners], ipv6)
        _reload(console, worker, text, config.digest)
        _drain_again(console, worker.servers)
    _start_with(console, render(config, ipv6=ipv6))


def stage(console: Console, worker: Worker, config: TrafficConfig) -> None:
    """Put the config there for a successor, with the servers as they are now. Raises Refused."""
    ipv6 = _has_ipv6(console)
    text = render(config, worker.servers, ipv6=ipv6)
    _write_certificates(console, config)
    _try(console, text, [], ipv6)
    # The successor looks for the config, so the states are there before it.
    console.write(f"{console.home}/{NEXT_SERVERS}", worker.states.encode())
    console.write(f"{console.home}/{NEXT}", text.encode())


def _has_ipv6(console: Console) -> bool:
    return console.read(f"{console.home}/{IPV6}") is not None


def _write_certificates(console: Console, config: TrafficConfig) -> None:
    for one in config.certificates:
        name = certificate_file(one.name)
        if console.read(name) != one.pem:
            console.write(name, one.pem)


def _try(console: Console, text: str, new: Sequence[Listener], ipv6: bool) -> None:
    """Have a HAProxy of its own read the config, and take the new ports for a moment.

    HAProxy 2.6 lets go of all others meanwhile when a reload cannot take one. Raises Refused in HAProxy's words.
    """
    config, ports = f"{console.home}/{_CANDIDATE}", f"{console.home}/{_PORTS}"
    console.write(config, text.encode())
    console.write(ports, trial(new, ipv6=ipv6).encode())
    invalid, said = console.run(_TRIAL.format(home=f"{DIRECTORY}/{console.home}", config=config, ports=ports))
    alerts = [_clean(one) for one in _ALERT.findall(said)]
    if invalid:
        raise Refused(f"HAProxy does not take the config: {next(iter(alerts), _clean(said) or f'it exited with {invalid}')}")
    for listener in new:
        of_this = (one.partition(f"frontend {listener.name}: ")[2] for one in alerts)
        if words := next(filter(None, of_this), ""):
            raise Refused(f"the gateway cannot listen at {listener.name}: {words}")


def _clean(said: str) -> str:
    return " ".join(_PLACE.sub("", said).split())


def _reload(console: Console, worker: Worker, text: str, digest: str) -> None:
    """HAProxy 2.6 loads behind the caller's back, newer ones answer when it is done: the worker that serves tells both."""
    running, states = f"{console.home}/{RUNNING}", f"{console.home}/{SERVERS}"
    before, failed = console.read(running) or b"", console.processes().failed
    console.write(states, worker.states.encode())
    console.write(running, text.encode())
    said = console.reload()

    if _is_loaded(console, digest, failed):
        return
    console.write(running, before)
    if console.processes().failed <= failed:
        raise Unreachable("the gateway was not loaded anew in time")
    raise Refused(f"HAProxy goes on as it is: {next(map(_clean, _ALERT.findall(said)), 'it could not load the config')}")


def _is_loaded(console: Console, digest: str, failed: int) -> bool:
    """Until it is done, 2.6 counts a load among those that failed."""

    def serves() -> bool:
        return console.worker().description == digest and bool(console.processes().workers)

    console.until(lambda: serves() or console.processes().failed > failed, LOADING_SECONDS)
    return bool(console.until(serves, FAILING_SECONDS))


def _drain_again(console: Console, servers: Iterable[ObservedServer]) -> None:
    """A state file carries over who is down, and not who drains."""
    for one in servers:
        if one.admission is Admission.DRAIN:
            at = f"{one.backend}/{one.name}"
            console.current(f"set server {at} state drain;set weight {at} {one.weight}")


def _start_with(console: Console, text: str) -> None:
    """Have the gateway start with it; certificates that only the one before named are removed."""
    before = (console.read(CONFIG) or b"").decode(errors="replace")
    if before == text:
        return
    console.write(CONFIG, text.encode())
    if unused := set(certificate_files(before)) - set(certificate_files(text)):
        console.run(" ".join(("rm -f", *(f"{DIRECTORY}/{name}" for name in sorted(unused)))))
