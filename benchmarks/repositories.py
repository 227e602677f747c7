"""What is asked for in the benchmarks? Repositories of so many services, as files by path."""

from __future__ import annotations

from collections.abc import Iterable

IMAGE = "busybox:1.36"
PER_STACK = 10
SLEEPS = 'command: ["sleep", "1000000"]\n    stop_signal: SIGKILL'
"""A container that costs nothing while it runs, and goes at once: what is measured is not its own shutting down."""

AT_ONCE = "deploy: {update_config: {monitor: 1ms}}"
"""It counts as running as soon as it runs, as docker compose and bare calls take it."""


def realistic(environment: str, services: int, changed: Iterable[int] = (), *, per_stack: int = PER_STACK) -> dict[str, str]:
    """Return services of about a kilobyte each in stacks; those `changed` (by number) have another variable."""
    different = frozenset(changed)
    stacks = {
        f"part{first // per_stack:04}": range(first, min(first + per_stack, services))
        for first in range(0, services, per_stack)
    }
    files = {
        f"{stack}/compose.yaml": "services:\n" + "".join(_service(number, changed=number in different) for number in numbers)
        for stack, numbers in stacks.items()
    }
    return {"reconciler.yaml": _settings(environment, stacks), **files}


def one_project(services: int) -> str:
    """Return the same services as one Compose project: what docker compose is given."""
    return "services:\n" + "".join(_service(number, changed=False) for number in range(services))


def plain(services: int) -> str:
    """Return a Compose project of services that say nothing but what they run."""
    return "services:\n" + "".join(
        f"  s{number}:\n    image: {IMAGE}\n    {SLEEPS}\n    {AT_ONCE}\n" for number in range(services)
    )


def replicated(replicas: int, version: int) -> str:
    """Return a Compose project of one service."""
    return f"""services:
  web:
    image: {IMAGE}
    {SLEEPS}
    environment: {{VERSION: "{version}"}}
    deploy: {{replicas: {replicas}, update_config: {{parallelism: 0, order: start-first, monitor: 1ms}}}}
"""


def chain(length: int) -> str:
    """Return a Compose project in which each service waits for the health of the one before."""
    check = '{test: ["CMD", "true"], interval: 1s, timeout: 5s, retries: 5}'
    text = "services:\n"
    for number in range(length):
        text += f"  s{number}:\n    image: {IMAGE}\n    {SLEEPS}\n    healthcheck: {check}\n"
        text += f"    depends_on: {{s{number - 1}: {{condition: service_healthy}}}}\n" if number else ""
    return text


def in_environment(environment: str, compose: str) -> dict[str, str]:
    """Return a repository whose one stack is this Compose project."""
    return {"reconciler.yaml": _settings(environment, ["app"]), "app/compose.yaml": compose}


def _settings(environment: str, stacks: Iterable[str]) -> str:
    return f"api: v1\nname: {environment}\nstacks:\n" + "".join(
        f"  {stack}: {{path: {stack}, project: {environment}-{stack}}}\n" for stack in stacks
    )


def _service(number: int, *, changed: bool) -> str:
    value = f"some value of service {number} that is about as long as they are"
    variables = "".join(f"      SETTING_{letter}: {value}\n" for letter in "ABCDEFGH")
    return f"""  service{number}:
    image: {IMAGE}
    {SLEEPS}
    restart: unless-stopped
    network_mode: none
    hostname: host{number}
    working_dir: /tmp
    user: "1000:1000"
    read_only: true
    init: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    tmpfs: [/run]
    environment:
      VERSION: "{2 if changed else 1}"
{variables}    labels:
      org.example.team: payments
      org.example.description: service number {number} of the benchmark
    logging: {{driver: json-file, options: {{max-size: 10m, max-file: "3"}}}}
    deploy:
      resources: {{limits: {{memory: 64m, cpus: "0.5"}}, reservations: {{memory: 16m}}}}
      update_config: {{monitor: 1ms}}
"""
