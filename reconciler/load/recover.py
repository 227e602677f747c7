"""Which repository would lead to what runs already? From the containers of a Compose project back to its files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.load.emit import yaml_lines
from reconciler.load.recover_service import Secret, Surroundings, is_seccomp_profile, recover_service
from reconciler.model import labels
from reconciler.model.observed import Instance, ObservedNetwork, ObservedState, ObservedVolume


@dataclass(frozen=True, slots=True)
class Recovered:
    """One project as files of a stack.

    compose    the text of its compose file
    variables  what looked secret, by the name that stands for it in the file
    notes      what the engine does not tell, and so is not in the file
    """

    project: str
    compose: str
    variables: Mapping[str, str] = field(repr=False)
    notes: tuple[str, ...] = ()


def projects(observed: ObservedState) -> tuple[str, ...]:
    """Return the Compose projects that the snapshot has containers of and that no environment owns, by name."""
    tags = [*(one.labels for one in observed.instances), *(one.labels for one in observed.neighbours or ())]
    return tuple(sorted({name for one in tags if (name := project_of(one))}))


def project_of(tags: Mapping[str, str]) -> str:
    """Return the Compose project of a container that nobody owns yet and that `docker compose run` did not make; else ""."""
    owned = labels.ENVIRONMENT in tags or tags.get(labels.COMPOSE_ONEOFF) == "True"
    return "" if owned else tags.get(labels.COMPOSE_PROJECT, "")


def recover(project: str, observed: ObservedState) -> Recovered:
    """Return the project as files; `observed` holds its containers, and their images by id and by name."""
    instances = sorted((one for one in observed.instances if project_of(one.labels) == project), key=_place)
    around = _surroundings(project, instances, observed)
    services: dict[str, list[Instance]] = {}
    for instance in instances:
        services.setdefault(instance.labels.get(labels.COMPOSE_SERVICE, ""), []).append(instance)
    variables = _Variables()
    document: dict[str, Any] = {"name": project, "services": {}}
    for name, members in services.items():
        document["services"][name] = variables.taken(name, _service(members, observed, around))
    document |= {"networks": _networks(project, instances, observed), "volumes": _volumes(project, instances, observed)}
    text = "\n".join(yaml_lines({name: value for name, value in document.items() if value})) + "\n"
    return Recovered(project, text, variables.values, tuple(_notes(services, observed)))


def repository(environment: str, recovered: Iterable[Recovered]) -> dict[str, str]:
    """Return the files of a repository, by path, that adopts the projects as they run."""
    files, stacks = dict[str, str](), dict[str, Any]()
    for one in recovered:
        path = f"stacks/{one.project}"
        stacks[one.project] = {"path": path, "adopt": [one.project]}
        files[f"{path}/compose.yaml"] = one.compose
        if one.variables:
            files[f"{path}/.env"] = _placeholders(one)
    settings = {"api": "v1", "name": environment, "stacks": stacks}
    return {"reconciler.yaml": "\n".join(yaml_lines(settings)) + "\n", **files}


def operators_file(recovered: Iterable[Recovered]) -> str:
    """Return an operator's file with the values that are in no file of the repository."""
    variables = {one.project: dict(sorted(one.variables.items())) for one in recovered if one.variables}
    return "\n".join(yaml_lines({"environment": variables})) + "\n"


def _placeholders(one: Recovered) -> str:
    """Comments: a value here, even an empty one, would count."""
    lines = (f"# {name}=" for name in sorted(one.variables))
    return f"# Declared in the operator's file, under environment.{one.project}:\n" + "".join(f"{line}\n" for line in lines)


def _place(instance: Instance) -> tuple[str, int]:
    number = instance.labels.get(labels.COMPOSE_NUMBER, "1")
    return instance.labels.get(labels.COMPOSE_SERVICE, ""), int(number) if number.isdecimal() else 1


def _surroundings(project: str, instances: Iterable[Instance], observed: ObservedState) -> Surroundings:
    instances = list(instances)
    modes = Counter(str(one.detail["HostConfig"].get("CgroupnsMode") or "") for one in instances)
    owners = {
        handle: one.labels.get(labels.COMPOSE_SERVICE, "") for one in instances for handle in (one.id, one.id[:12], one.name)
    }
    return Surroundings(
        project,
        owners,
        {network.name: _key(network, project, labels.COMPOSE_NETWORK) for network in observed.networks},
        {volume.name: _key(volume, project, labels.COMPOSE_VOLUME) for volume in observed.volumes},
        modes.most_common(1)[0][0] if modes else "",
    )


def _key(resource: ObservedNetwork | ObservedVolume, project: str, label: str) -> str:
    """The key Compose knows it by, else its name as a key."""
    ours = resource.labels.get(labels.COMPOSE_PROJECT) == project
    return resource.labels.get(label, resource.name) if ours else re.sub(r"[^\w.-]", "_", resource.name)


def _service(members: list[Instance], observed: ObservedState, around: Surroundings) -> dict[str, Any]:
    first = members[0]
    image = observed.images.get(first.image_id)
    service = recover_service(first, image.config if image else None, around)
    if len(members) > 1:
        service.pop("container_name", None)
        service["deploy"] = {"replicas": len(members), **service.get("deploy", {})}
    return service


# --- secrets ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Variables:
    """Names for what looked secret, each for one value."""

    values: dict[str, str] = field(default_factory=dict)

    def taken(self, service: str, value: Any) -> Any:
        """Return the value as a compose file has it: secrets by name, every other dollar doubled."""
        match value:
            case Secret(name, secret):
                return f"${{{self._name(service, name, secret)}}}"
            case str():
                return value.replace("$", "$$")
            case dict():
                return {name: self.taken(service, child) for name, child in value.items()}
            case list():
                return [self.taken(service, child) for child in value]
            case _:
                return value

    def _name(self, service: str, name: str, secret: str) -> str:
        """The first to want a name has it; another value gets the service before it, then a number behind it."""
        plain = re.sub(r"\W", "_", name, flags=re.ASCII).upper()
        plain = f"_{plain}" if plain[:1].isdigit() else plain
        longer = f"{re.sub(r'[^A-Za-z0-9_]', '_', service).upper()}_{plain}"
        candidates = (plain, longer, *(f"{longer}_{number}" for number in range(2, len(self.values) + 3)))
        chosen = next(one for one in candidates if self.values.get(one, secret) == secret)
        self.values[chosen] = secret
        return chosen


# --- networks and volumes --------------------------------------------------------------------------------------------


def _networks(project: str, instances: Iterable[Instance], observed: ObservedState) -> dict[str, Any]:
    attached = {name for one in instances for name in one.detail.get("NetworkSettings", {}).get("Networks") or {}}
    found: dict[str, Any] = {}
    for network in sorted(observed.networks, key=lambda one: one.name):
        ours = network.labels.get(labels.COMPOSE_PROJECT) == project
        if not ours and (network.name not in attached or network.name in ("bridge", "host", "none")):
            continue
        key = _key(network, project, labels.COMPOSE_NETWORK)
        fixed = _has_fixed_address(network.name, instances)
        found[key] = _network(project, key, network, fixed=fixed) if ours else {"external": True, "name": network.name}
    return {key: said or None for key, said in found.items() if said or key != "default"}


def _has_fixed_address(name: str, instances: Iterable[Instance]) -> bool:
    endpoints = (one.detail.get("NetworkSettings", {}).get("Networks", {}).get(name) or {} for one in instances)
    return any((endpoint.get("IPAMConfig") or {}).keys() & {"IPv4Address", "IPv6Address"} for endpoint in endpoints)


def _network(project: str, key: str, network: ObservedNetwork, *, fixed: bool) -> dict[str, Any]:
    """The engine chooses subnets for who asks for none, and does not tell the difference: they matter to fixed addresses."""
    detail = network.detail
    pools = [_pool(pool) for pool in (detail.get("IPAM") or {}).get("Config") or ()]
    driver = (detail.get("IPAM") or {}).get("Driver")
    ipam = {"driver": driver if driver != "default" else "", "config": pools if fixed else []}
    said = {
        "name": network.name if network.name != f"{project}_{key}" else "",
        "driver": detail.get("Driver") if detail.get("Driver") != "bridge" else "",
        "driver_opts": detail.get("Options"),
        "internal": detail.get("Internal"),
        "attachable": detail.get("Attachable"),
        "enable_ipv6": detail.get("EnableIPv6"),
        "ipam": {name: value for name, value in ipam.items() if value},
        "labels": _own_labels(network.labels),
    }
    return _doubled({name: value for name, value in said.items() if value})


def _pool(pool: Mapping[str, Any]) -> dict[str, Any]:
    names = {"Subnet": "subnet", "Gateway": "gateway", "IPRange": "ip_range", "AuxiliaryAddresses": "aux_addresses"}
    return {name: pool[engine] for engine, name in names.items() if pool.get(engine)}


def _volumes(project: str, instances: Iterable[Instance], observed: ObservedState) -> dict[str, Any]:
    mounted = {mount.get("Name") for one in instances for mount in one.detail.get("Mounts") or ()}
    found: dict[str, Any] = {}
    for volume in sorted(observed.volumes, key=lambda one: one.name):
        ours = volume.labels.get(labels.COMPOSE_PROJECT) == project
        anonymous = re.fullmatch(r"[0-9a-f]{64}", volume.name) is not None
        key = _key(volume, project, labels.COMPOSE_VOLUME)
        if ours and labels.COMPOSE_VOLUME in volume.labels:
            found[key] = _volume(project, key, volume) or None
        elif volume.name in mounted and not anonymous:
            found[key] = {"external": True, "name": volume.name}
    return found


def _volume(project: str, key: str, volume: ObservedVolume) -> dict[str, Any]:
    driver = volume.detail.get("Driver")
    said = {
        "name": volume.name if volume.name != f"{project}_{key}" else "",
        "driver": driver if driver != "local" else "",
        "driver_opts": volume.detail.get("Options"),
        "labels": _own_labels(volume.labels),
    }
    return _doubled({name: value for name, value in said.items() if value})


def _own_labels(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in sorted(tags.items()) if not name.startswith((labels.COMPOSE, labels.OURS))}


def _doubled(document: dict[str, Any]) -> dict[str, Any]:
    doubled: dict[str, Any] = _Variables().taken("", document)
    return doubled


# --- what is not told ------------------------------------------------------------------------------------------------


def _notes(services: Mapping[str, list[Instance]], observed: ObservedState) -> Iterator[str]:
    for name, members in services.items():
        first = members[0]
        if any(is_seccomp_profile(option) for option in first.detail["HostConfig"].get("SecurityOpt") or ()):
            yield f"{name}: its seccomp profile was a file; the engine keeps only the content, and security_opt names files"
        if observed.images.get(first.image_id) is None:
            yield f"{name}: the image it was made from is gone, so what that said stands in the file too"
        reference = str(first.detail["Config"]["Image"])
        if (named := observed.images.get(reference)) is not None and named.id != first.image_id:
            yield f"{name}: {reference} names another image by now; a plan replaces its containers"
        if any(member.image_id != first.image_id for member in members):
            yield f"{name}: its containers were made from different images; the file has that of {first.name}"
        if not any(member.running for member in members):
            yield f"{name}: it does not run; a stack that adopts it starts what is not meant to end"
