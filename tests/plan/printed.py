"""Read a case file and print the plan it leads to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from reconciler.cli.diff import printed
from reconciler.load.loading import load
from reconciler.model import labels
from reconciler.model.desired import DesiredState
from reconciler.model.history import Backoff, HashKey, History, Overrule, Quarantine, Suspension
from reconciler.model.observed import (
    Engine,
    Instance,
    Neighbour,
    ObservedNetwork,
    ObservedState,
    ObservedVolume,
    Phase,
    Probe,
)
from reconciler.model.plan import Plan
from reconciler.model.source import Revision
from reconciler.model.spec import spec_hash
from reconciler.plan import make_plan, render
from reconciler.plan.assume import assume
from reconciler.plan.contrast import contrasts
from reconciler.plan.narrow import narrowed
from reconciler.ports import FileKind

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
KEY = HashKey("test", b"a key for tests")
OLD, NEW = "0ld0000", "4ew0000"


class Texts:
    """The files of a case: texts by path."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def kind(self, path: str) -> FileKind | None:
        if path in self.texts:
            return FileKind.FILE
        inside = path == "" or any(name.startswith(f"{path}/") for name in self.texts)
        return FileKind.DIRECTORY if inside else None

    def read(self, path: str) -> bytes:
        return self.texts[path].encode()

    def children(self, path: str) -> tuple[str, ...]:
        prefix = f"{path}/" if path else ""
        return tuple(sorted({name[len(prefix) :].split("/")[0] for name in self.texts if name.startswith(prefix)}))

    def identity(self, path: str) -> str:
        return repr(sorted((name, text) for name, text in self.texts.items() if name.startswith(path)))

    def executable(self, path: str) -> bool:
        return False


def desired_state(text: str, revision: str, files: dict[str, str] | None = None) -> DesiredState:
    """Load one compose text as stack `shop` (or the whole repository where the case gives several files)."""
    texts = dict(files or {})
    if text:
        texts |= (
            {"reconciler.yaml": "api: v1\nname: test\nstacks: {shop: {path: shop}}\n"} if "reconciler.yaml" not in texts else {}
        )
        texts["shop/compose.yaml"] = text
    return load(Texts(texts), Revision(revision, "main", NOW, "A Person <a@example.org>", "a change"))


def printed_plan(case: dict[str, Any]) -> str:
    """Return the case's plan with every action."""
    return render.text(planned(case), actions=True)


def planned(case: dict[str, Any]) -> Plan:
    """Return the plan that a case leads to, of one stack where it names that."""
    desired, observed, history, previous = situation(case)
    plan = make_plan(desired, observed, history, previous, frozenset(case.get("busy", ())))
    return narrowed(plan, case["only"]) if "only" in case else plan


def told(case: dict[str, Any]) -> str:
    """Return what each change of a case's plan tells the engine, without what is empty."""
    changes = {one.id: {render.verb_of(one.change): _filled(asdict(one.change))} for one in planned(case).actions}
    return yaml.safe_dump(changes, sort_keys=False, width=1000)


def _filled(value: Any) -> Any:
    match value:
        case dict():
            return {name: _filled(child) for name, child in value.items() if child not in (None, "", [], (), {})}
        case list() | tuple():
            return [_filled(child) for child in value]
        case bool() | int() | float():
            return value
        case _:
            return str(value)


def printed_contrasts(case: dict[str, Any]) -> str:
    """Return where what runs in a case differs from what Git asks."""
    desired, observed, history, _ = situation(case)
    return printed(contrasts(desired, observed, history))


def situation(case: dict[str, Any]) -> tuple[DesiredState, ObservedState, History, DesiredState | None]:
    """Return what a case describes: wanted, observed, history, and the revision applied before."""
    given = case.get("given")
    before = desired_state(given, OLD, case.get("given files")) if given or "given files" in case else None
    changed = "wanted" in case or "wanted files" in case
    revision = NEW if changed or before is None else OLD
    wanted = desired_state(case.get("wanted", given), revision, case.get("wanted files", case.get("given files")))
    history = _history(case.get("history", {}), before, wanted)
    observed = _observed(case, before, wanted, history)
    return wanted, observed, history, before if history.applied == OLD else None


def _history(said: dict[str, Any], before: DesiredState | None, wanted: DesiredState) -> History:
    applied = said.get("applied", OLD if before else "")
    services = {service.id: service for stack in wanted.stacks for service in stack.services}
    quarantine = {
        name: Quarantine(name, spec_hash(services[name], KEY), wanted.revision.id, why, NOW)
        for name, why in said.get("failed", {}).items()
    }
    healed = NOW + timedelta(seconds=said.get("ahead", 0))
    heals = {key: Backoff(count, healed, healed + timedelta(seconds=10)) for key, count in said.get("healed", {}).items()}
    jobs = {name: (spec_hash(services[name], KEY),) for name in said.get("jobs", [])}
    updated = {name: NOW - timedelta(seconds=ago) for name, ago in said.get("updated", {}).items()}
    replaced = {
        (f"{name}/{slot}", spec_hash(services[name], KEY)): count
        for key, count in said.get("replaced", {}).items()
        for name, slot in [key.rsplit("/", 1)]
    }
    suspended = {
        name: Suspension(one.get("reason", ""), NOW, NOW + timedelta(seconds=one["for"]) if "for" in one else None)
        for name, one in said.get("suspended", {}).items()
    }
    overruled = {name: Overrule(wanted.revision.id, reason) for name, reason in said.get("overruled", {}).items()}
    handed = {new_id(name): NOW - timedelta(seconds=ago) for name, ago in said.get("handed", {}).items()}
    retries = {key: Backoff(1, NOW, NOW + timedelta(seconds=10), why) for key, why in said.get("retries", {}).items()}
    retried = {name: NOW - timedelta(seconds=ago) for name, ago in said.get("retried", {}).items()}
    return History(
        KEY, fresh=said.get("fresh", False), applied=applied or "", quarantine=quarantine, heals=heals, jobs=jobs,
        updated=updated, replaced=replaced, suspended=suspended, overruled=overruled, handed=handed, retries=retries,
        retried=retried, pulled=frozenset(said.get("pulled", ())), ran=said.get("ran", {}),
    )  # fmt: skip


def _observed(case: dict[str, Any], before: DesiredState | None, wanted: DesiredState, history: History) -> ObservedState:
    images = {service.image for stack in wanted.stacks for service in stack.services}
    if before is None:
        observed = ObservedState(NOW, engine=Engine(api="1.41", version="20.10"), neighbours=())
        observed = replace(observed, images=assume(wanted, NOW, history).images)
    else:
        key = HashKey(case["key"], b"another") if "key" in case else KEY
        observed = assume(before, NOW, replace(history, key=key), images)
    instances = {instance.name: instance for instance in observed.instances}
    for name, said in (case.get("but") or {}).items():
        _alter(instances, name, said)
    for name, said in (case.get("new") or {}).items():
        _add_new(instances, name, said, wanted, history)
    absent, configs = set(case.get("absent images", [])), case.get("image configs", {})
    neighbours = tuple(
        Neighbour(name, name, said.get("labels", {}), tuple(("", port, "tcp") for port in said.get("ports", [])), True)
        for name, said in (case.get("neighbours") or {}).items()
    )
    known = {
        name: None if name in absent or image is None else replace(image, config=configs.get(name, image.config))
        for name, image in observed.images.items()
    }
    return replace(
        observed,
        engine=replace(observed.engine, **case.get("engine", {})),
        instances=tuple(instances.values()),
        networks=_networks(case, observed, instances),
        volumes=(*_volumes(case, observed), *_lease(wanted, instances, case.get("keeper", ""))),
        images={**known, **{image.id: image for image in known.values() if image}},
        contents={
            (instances[name].id, path): digest
            for name, found in case.get("contents", {}).items()
            for path, digest in found.items()
        },
        digests=case.get("digests", {}),
        neighbours=neighbours,
        unknown=frozenset(case.get("unknown", [])),
    )


def _networks(case: dict[str, Any], observed: ObservedState, instances: dict[str, Instance]) -> tuple[ObservedNetwork, ...]:
    """Those of the case take the place of the ones that would be there."""
    said = {
        name: ObservedNetwork(
            new_id(name),
            name,
            one.get("labels", {}),
            one.get("detail", {}),
            users=frozenset(instances[user].id for user in one.get("users", ())),
        )
        for name, one in case.get("networks", {}).items()
    }
    there = {one.name: one for one in observed.networks if one.name not in case.get("no networks", [])}
    return tuple({**there, **said}.values())


def _volumes(case: dict[str, Any], observed: ObservedState) -> tuple[ObservedVolume, ...]:
    said = {
        name: ObservedVolume(name, one.get("labels", {}), one.get("detail", {}))
        for name, one in case.get("volumes", {}).items()
    }
    unmarked = case.get("no job marks", False)
    there = {one.name: one for one in observed.volumes if not (unmarked and labels.JOB in one.labels)}
    return tuple({**there, **said}.values())


def _lease(wanted: DesiredState, instances: dict[str, Instance], keeper: str) -> Iterator[ObservedVolume]:
    """The lease, held by the reconciler in a container."""
    if keeper:
        holder, until = f"host:1:00 container={instances[keeper].id}", NOW + timedelta(seconds=45)
        name = wanted.environment.name
        marks = {labels.LEASE: name, labels.HOLDER: holder, labels.EXPIRES: until.isoformat()}
        yield ObservedVolume(f"reconciler-lease-{name}.7", marks)


def _alter(instances: dict[str, Instance], name: str, said: Any) -> None:
    if said == "gone":
        del instances[name]
        return
    instance = instances[name]
    detail = {**instance.detail, "HostConfig": {**instance.detail["HostConfig"], **said.get("host", {})}}
    detail["Config"] = {**detail["Config"], **said.get("config", {})}
    if "networks" in said:
        detail["NetworkSettings"] = {"Networks": said["networks"]}
    if "mounts" in said:
        detail["Mounts"] = said["mounts"]
    if "start error" in said:
        detail["State"] = {"Error": said["start error"]}
    if "image" in said:
        detail["Config"] |= {"Image": said["image"]}
        instance = replace(instance, image_id=new_id(said["image"]), labels={**instance.labels, labels.SPEC: "test:other"})
    instances[name] = replace(
        instance,
        labels=said.get("labels", instance.labels),
        oom_killed=said.get("out of memory", False),
        phase=Phase(said.get("phase", instance.phase)),
        probe=Probe(said.get("probe", instance.probe)),
        exit_code=said.get("exit", instance.exit_code),
        restarts=said.get("restarts", instance.restarts),
        name=said.get("name", instance.name),
        created=NOW - timedelta(seconds=said["born"]) if "born" in said else instance.created,
        started=NOW - timedelta(seconds=said["age"]) if "age" in said else instance.started,
        detail=detail,
    )


def _add_new(instances: dict[str, Instance], name: str, said: dict[str, Any], wanted: DesiredState, history: History) -> None:
    """A container of the newest spec beside what runs, as a rollout makes it: `shop-web-1.next`."""
    fresh = {one.name: one for one in assume(wanted, NOW, history).instances}
    made = fresh[name.removesuffix(".next")]
    born = NOW - timedelta(seconds=said.get("age", 1))
    instances[name] = replace(made, id=new_id(name), name=name, created=born, started=born)
    _alter(instances, name, said)


def new_id(name: str) -> str:
    return sha256(f"new {name}".encode()).hexdigest()


def read_case(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def hold_to(path: Path, key: str, text: str) -> None:
    """Compare a text with what the case file says at its end; with ACCEPT=1 it says so from then on."""
    if os.environ.get("ACCEPT"):
        kept = path.read_text().split(f"\n{key}: |\n")[0].rstrip("\n")
        path.write_text(f"{kept}\n{key}: |\n" + "".join(f"  {line}\n" for line in text.splitlines()))
    assert text == read_case(path)[key]
