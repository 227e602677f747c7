"""What do HAProxy's answers on its sockets say?"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.errors import Unreachable
from reconciler.model.traffic import Admission, Check, ObservedServer

_TOTALS = {
    "sessions": "stot",
    "bytes_in": "bin",
    "bytes_out": "bout",
    "connect_errors": "econ",
    "response_errors": "eresp",
    "retries": "wretr",
    "redispatches": "wredis",
    "client_aborts": "cli_abrt",
    "server_aborts": "srv_abrt",
    "1xx": "hrsp_1xx",
    "2xx": "hrsp_2xx",
    "3xx": "hrsp_3xx",
    "4xx": "hrsp_4xx",
    "5xx": "hrsp_5xx",
}
"""Our names of the counters, and the columns of `show stat` they stand in."""

_NO_SERVERS = ("FRONTEND", "BACKEND")
_MAINTENANCE, _DRAINING = 0x27, 0x18
"""Bits of `srv_admin_state`: forced, inherited, by config or by name resolution; forced or inherited."""

_PASSED = ("L4OK", "L6OK", "L7OK", "L7OKC")
_UNCHECKED = ("", "INI", "UNK")
_PROCESS = re.compile(r"^(\d+)\s+worker\b", re.MULTILINE)
_FAILED = re.compile(r"^\d+\s+master\s+\d+ \[failed: (\d+)\]", re.MULTILINE)


NO_STATISTICS = (KeyError, ValueError, AttributeError, csv.Error)
"""What reading something else may end with: a column, a number or a whole row is missing."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process of the gateway that serves.

    description  digest of the config that it was loaded with
    totals       its listeners, and what each has counted
    states       its servers, as another one loads them
    """

    pid: int
    version: str
    description: str
    totals: Mapping[str, Mapping[str, int]]
    servers: tuple[ObservedServer, ...]
    states: str

    @property
    def listeners(self) -> tuple[str, ...]:
        return tuple(self.totals)


@dataclass(frozen=True, slots=True)
class Processes:
    """What `show proc` says: who serves, those that end what they have included, and how often the last loads failed."""

    workers: tuple[int, ...]
    failed: int


def worker(said: str) -> Worker:
    """Read the answer to `show info;show stat;show servers state`. Raises Unreachable for what is none."""
    try:
        return _worker(said)
    except NO_STATISTICS as rubbish:
        raise _no_statistics() from rubbish


def _worker(said: str) -> Worker:
    information, begun, rest = said.partition("# pxname,")
    table, _, states = rest.partition("\n\n")
    about = dict(line.partition(": ")[::2] for line in information.splitlines())
    if "Pid" not in about or not begun:
        raise _no_statistics()
    statistics, told = begun + table, _told(states)
    return Worker(
        pid=int(about["Pid"]),
        version=about.get("Version", ""),
        description=about.get("description", ""),
        totals={row["pxname"]: _totals(row) for row in _rows(statistics) if row["svname"] == "FRONTEND"},
        servers=tuple(replace(one, admission=told.get((one.backend, one.name), one.admission)) for one in servers(statistics)),
        states=states.strip() + "\n",
    )


def servers(said: str) -> tuple[ObservedServer, ...]:
    """Read the answer to `show stat`; () from a worker that is gone by now. Raises Unreachable for what is none."""
    try:
        return tuple(_server(row) for row in _rows(said) if row["svname"] not in _NO_SERVERS)
    except NO_STATISTICS as rubbish:
        raise _no_statistics() from rubbish


def _no_statistics() -> Unreachable:
    return Unreachable("the gateway answered something that is no statistics of HAProxy")


def processes(said: str) -> Processes:
    """Read the master's answer to `show proc`. Raises Unreachable for what is none: nobody is not the same as silence."""
    if not said.startswith("#<PID>"):
        raise Unreachable("the gateway answered something that is no list of HAProxy's processes")
    failed = _FAILED.search(said)
    return Processes(tuple(int(pid) for pid in _PROCESS.findall(said)), int(failed[1]) if failed else 0)


def merged(current: tuple[ObservedServer, ...], older: tuple[ObservedServer, ...]) -> tuple[ObservedServer, ...]:
    """Return the servers with what older workers still have in flight on them.

    One that only an older worker knows counts as one that drains, as long as it has something in flight there.
    """
    found = {(one.backend, one.name): one for one in current}
    for one in older:
        if not one.in_flight:
            continue
        known = found.get((one.backend, one.name), replace(one, admission=Admission.DRAIN, in_flight=0, queued=0))
        found[one.backend, one.name] = replace(known, in_flight=known.in_flight + one.in_flight)
    return tuple(found[key] for key in sorted(found))


def _rows(said: str) -> list[dict[str, str]]:
    _, begun, table = said.partition("# pxname,")
    return list(csv.DictReader(f"pxname,{table}".splitlines())) if begun else []


def _told(states: str) -> dict[tuple[str, str], Admission]:
    """Return what was said of each server: the statistics show only that it is down where it drains as well."""
    lines = [line.split() for line in states.splitlines()]
    columns = next((line[1:] for line in lines if line[:1] == ["#"]), [])
    rows = (dict(zip(columns, line, strict=False)) for line in lines if len(line) == len(columns) > 1)
    return {(row["be_name"], row["srv_name"]): _said_of(int(row["srv_admin_state"])) for row in rows}


def _said_of(bits: int) -> Admission:
    if bits & _MAINTENANCE:
        return Admission.MAINT
    return Admission.DRAIN if bits & _DRAINING else Admission.READY


def _server(row: Mapping[str, str]) -> ObservedServer:
    address, _, port = row["addr"].rpartition(":")
    return ObservedServer(
        backend=row["pxname"],
        name=row["svname"],
        address=address.strip("[]"),
        port=_number(port),
        weight=_number(row["uweight"]),
        admission=_admission(row["status"]),
        check=_check(row["status"], row["check_status"].removeprefix("* ")),
        in_flight=_number(row["scur"]),
        queued=_number(row["qcur"]),
        said=" ".join(filter(None, (row["check_desc"], row["check_code"]))),
        totals=_totals(row),
        response_ms=_number(row["rtime"]),
    )


def _totals(row: Mapping[str, str]) -> dict[str, int]:
    """What is counted of the other kind alone stands there empty."""
    return {name: int(row[column]) for name, column in _TOTALS.items() if row[column]}


def _admission(status: str) -> Admission:
    if status.startswith("MAINT"):
        return Admission.MAINT
    return Admission.DRAIN if status.startswith("DRAIN") else Admission.READY


def _check(status: str, last: str) -> Check:
    """A server is down when it is added, so one that is up has passed its checks, even where the last one failed."""
    if last in _UNCHECKED or status.startswith("MAINT"):
        return Check.PENDING
    if status.startswith("DOWN"):
        return Check.PENDING if last in _PASSED else Check.DOWN
    return Check.UP


def _number(text: str | None) -> int:
    return int(text) if text else 0
