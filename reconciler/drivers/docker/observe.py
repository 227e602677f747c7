"""What of ours does the engine run?"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.drivers.docker.connection import Connection, path_of, side_by_side
from reconciler.drivers.docker.errors import Rejected
from reconciler.model.observed import Engine, Instance, Neighbour, ObservedNetwork, ObservedVolume, Phase, Probe

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sighting:
    """Our containers, and every network and volume of the engine: a foreign one may hold a wanted name."""

    instances: tuple[Instance, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    volumes: tuple[ObservedVolume, ...] = ()


@dataclass
class Observer:
    """Lists what is ours and inspects what changed since the last look.

    One look at a time. `forget` may be called meanwhile, by whoever hears the engine's events.
    """

    connection: Connection
    _inspected: dict[str, tuple[object, Instance]] = field(default_factory=dict)
    _forgotten: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def look(self, filters: Iterable[str], *, thorough: bool) -> Sighting:
        """Return the containers that carry one of the labels (`key=value`), all networks and all volumes."""
        with self._looking:
            rows, networks, volumes = self._lists(filters)
            instances = self._instances(rows, thorough)
        users = _users(rows)
        return Sighting(
            tuple(sorted(instances, key=lambda one: one.name)),
            tuple(_network(document, users) for document in sorted(networks, key=lambda one: (one["Name"], one["Id"]))),
            tuple(_volume(document) for document in sorted(volumes, key=lambda one: str(one["Name"]))),
        )

    def forget(self, id: str) -> None:
        """Inspect this container at the next look, whatever the list says."""
        with self._lock:
            self._forgotten.add(id)

    def engine(self) -> Engine:
        """Ask what the engine is."""
        info = self.connection.get("/info")
        return Engine(
            version=self.connection.version,
            api=".".join(map(str, self.connection.api)),
            cpus=int(info.get("NCPU") or 1),
            memory_bytes=int(info.get("MemTotal") or 0),
            rootless=any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
            os=str(info.get("OSType") or "linux"),
        )

    def _lists(self, filters: Iterable[str]) -> tuple[list[Document], list[Document], list[Document]]:
        """Return rows of containers, networks and volumes."""
        ours = ({"all": True, "filters": {"label": [mark]}} for mark in filters)
        questions = [("/networks", {}), ("/volumes", {}), *(("/containers/json", query) for query in ours)]
        networks, volumes, *lists = side_by_side(lambda question: self.connection.get(question[0], **question[1]), questions)
        # What carries two of the labels stands in two lists.
        return list({row["Id"]: row for rows in lists for row in rows}.values()), networks, volumes.get("Volumes") or []

    def _instances(self, rows: Iterable[Document], thorough: bool) -> list[Instance]:
        sights = {row["Id"]: _sight(row) for row in rows}
        with self._lock:
            forgotten, self._forgotten = self._forgotten, set()
        known = {} if thorough else {id: seen for id, seen in self._inspected.items() if id not in forgotten}
        stale = [id for id, sight in sights.items() if id not in known or known[id][0] != sight]
        try:
            fresh = dict(zip(stale, side_by_side(self._inspect, stale), strict=True))
        except BaseException:
            with self._lock:
                self._forgotten |= forgotten
            raise
        seen = {id: (sights[id], found) for id, found in fresh.items() if found}
        self._inspected = {id: known[id] for id in sights if id not in fresh} | seen
        return [found for _, found in self._inspected.values()]

    def _inspect(self, id: str) -> Instance | None:
        try:
            return instance(self.connection.get(path_of("/containers/{}/json", id)))
        except Rejected as rejected:
            if rejected.status == 404:
                return None
            raise


def instance(document: Document) -> Instance:
    """Read the engine's inspect document."""
    state = document["State"]
    return Instance(
        id=document["Id"],
        name=document["Name"].removeprefix("/"),
        labels=document["Config"].get("Labels") or {},
        phase=Phase(state["Status"]),
        probe=Probe((state.get("Health") or {}).get("Status") or Probe.NONE),
        exit_code=state.get("ExitCode") or 0,
        restarts=document.get("RestartCount") or 0,
        oom_killed=bool(state.get("OOMKilled")),
        image_id=document["Image"],
        created=moment(document.get("Created")),
        started=moment(state.get("StartedAt")),
        finished=moment(state.get("FinishedAt")),
        detail=document,
    )


def neighbour(row: Document) -> Neighbour:
    """Read a row of the engine's list."""
    # Links give a container further names, which are longer: `/other/alias`.
    names = sorted((name.removeprefix("/") for name in row.get("Names") or ()), key=len)
    published = {
        (port.get("IP") or "", port["PublicPort"], port["Type"]) for port in row.get("Ports") or () if "PublicPort" in port
    }
    marks, running = row.get("Labels") or {}, row["State"] == "running"
    return Neighbour(row["Id"], names[0] if names else "", marks, tuple(sorted(published)), running)


def moment(text: str | None) -> datetime | None:
    """Read the engine's time stamp; its year 1 means never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)


def _sight(row: Document) -> object:
    """Return what of a list's row says that the container is no longer as it was inspected.

    The status is prose ("Up 2 minutes (healthy)"): health and exit code stand in brackets, the rest is only age.
    A restart gives every network a new endpoint.
    """
    networks = (row.get("NetworkSettings") or {}).get("Networks") or {}
    places = frozenset((name, place.get("NetworkID"), place.get("EndpointID")) for name, place in networks.items())
    said = tuple(re.findall(r"\([^)]*\)", row.get("Status") or ""))
    return row["State"], frozenset(row.get("Names") or ()), row.get("ImageID"), row.get("Image"), said, places


def _users(rows: Iterable[Document]) -> dict[str, set[str]]:
    """Return the containers by network: its id, or its name for a container that has not been started yet."""
    users: dict[str, set[str]] = {}
    for row in rows:
        for name, place in ((row.get("NetworkSettings") or {}).get("Networks") or {}).items():
            users.setdefault(place.get("NetworkID") or name, set()).add(row["Id"])
    return users


def _network(document: Document, users: Mapping[str, set[str]]) -> ObservedNetwork:
    id, name = document["Id"], document["Name"]
    attached = frozenset(users.get(id, set()) | users.get(name, set()))
    return ObservedNetwork(id, name, document.get("Labels") or {}, document, attached)


def _volume(document: Document) -> ObservedVolume:
    return ObservedVolume(document["Name"], document.get("Labels") or {}, document)
