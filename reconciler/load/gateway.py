"""What is the gateway's own container? Desired state like any other, of a stack that no repository declares."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.desired import GATEWAY_STACK, Order, Service, Stack, UpdateConfig, Volume
from reconciler.model.gateway_container import CAPABILITIES, ENTRYPOINT, STOP_SIGNAL, USER, command
from reconciler.model.traffic import DIRECTORY

STOP_SECONDS = 300.0
"""How long a gateway that another one has taken over from may end what it has in flight."""


def with_gateway(environment: str, stacks: tuple[Stack, ...], image: str) -> tuple[Stack, ...]:
    """Return the stacks, the gateway's first where a service needs one."""
    return (gateway_stack(environment, image), *stacks) if needs_gateway(stacks) else stacks


def needs_gateway(stacks: Iterable[Stack]) -> bool:
    return any(service.entrusted for stack in stacks for service in stack.services)


def gateway_stack(environment: str, image: str) -> Stack:
    """Return the stack of an environment's gateway, on the network of the host."""
    project = name = f"{GATEWAY_STACK}-{environment}"
    volume = Volume(GATEWAY_STACK, project, "gateway", name, prune=True)
    service = Service(
        stack=GATEWAY_STACK,
        project=project,
        name="gateway",
        image=image,
        container={
            "User": USER,
            "Entrypoint": list(ENTRYPOINT),
            "Cmd": list(command()),
            "StopSignal": STOP_SIGNAL,
            "HostConfig": {
                "CapDrop": ["ALL"],
                "CapAdd": list(CAPABILITIES),
                "Mounts": [{"Type": "volume", "Source": name, "Target": DIRECTORY}],
                "ReadonlyRootfs": True,
                "RestartPolicy": {"Name": "unless-stopped"},
                "SecurityOpt": ["no-new-privileges:true"],
            },
        },
        container_name=name,
        network_mode="host",
        volumes=(name,),
        # The new one takes the listeners over from the old one, so both must be there.
        update=UpdateConfig(order=Order.START_FIRST, monitor_seconds=1.0),
        stop_grace_seconds=STOP_SECONDS,
    )
    return Stack(GATEWAY_STACK, project, "", (service,), volumes=(volume,), prune_volumes=("*",))
