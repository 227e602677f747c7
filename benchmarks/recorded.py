"""An engine that only answers, from a record: `python -m benchmarks.recorded SOCKET SERVICES`.

It runs in a process of its own, so that what it costs is not ours. What it tells of is what `assume` says runs; it takes as
long for a list as engine 20.10 was measured to take. A signal to a container changes nothing, and is told as an event.
"""

from __future__ import annotations

import json
import socketserver
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from benchmarks.pure import Situation
from reconciler.model import labels
from reconciler.model.observed import Instance, ObservedState

LIST_SECONDS = 79e-6
"""What the engine takes for each row of a list: 79 ms for a thousand."""


def main() -> None:
    path, services = sys.argv[1], int(sys.argv[2])
    record = Record(Situation.of(services).observed)
    with socketserver.ThreadingUnixStreamServer(path, _handler(record)) as server:
        server.daemon_threads = True
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()


class Record:
    """Every answer, as bytes; only the lease is remembered, and who listens to events."""

    def __init__(self, observed: ObservedState) -> None:
        rows = [_row(one) for one in observed.instances]
        networks, images = observed.networks, observed.images.items()
        self.lease: list[dict[str, Any]] = []
        self.listeners: list[SimpleQueue[bytes]] = []
        self.marks = {one.id: {**one.labels, "name": one.name} for one in observed.instances}
        self.answers: dict[str, bytes] = {
            "version": _bytes({"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}),
            "info": _bytes({"NCPU": 64, "MemTotal": 1 << 40, "OSType": "linux"}),
            "containers/json": _bytes(rows),
            "networks": _bytes([{**one.detail, "Id": one.id, "Name": one.name, "Labels": one.labels} for one in networks]),
            **{f"containers/{one.id}/json": _bytes(_inspected(one)) for one in observed.instances},
            **{f"images/{name}/json": _bytes({"Id": one.id, "RepoTags": [name]}) for name, one in images if one},
        }
        self.volumes = [{"Name": one.name, "Labels": one.labels, **one.detail} for one in observed.volumes]
        self.pause = {"containers/json": LIST_SECONDS * len(rows)}

    def signal(self, container: str) -> None:
        """Tell everybody that a container was sent a signal."""
        actor = {"ID": container, "Attributes": self.marks[container]}
        event = {"Type": "container", "Action": "kill", "Actor": actor, "timeNano": time.time_ns()}
        for listener in self.listeners:
            listener.put(_bytes(event) + b"\n")

    def answer(self, path: str, query: str) -> bytes:
        """Return the answer to a GET. Raises KeyError where there is no record of one."""
        time.sleep(self.pause.get(path, 0.0))
        if path == "volumes":
            return _bytes({"Volumes": self.lease if labels.LEASE in query else [*self.volumes, *self.lease]})
        return self.answers[path]


def _handler(record: Record) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            path = split.path.lstrip("/").partition("/")[2] if split.path.startswith("/v1") else split.path.lstrip("/")
            if path == "events":
                self._stay()
                return
            try:
                self._say(200, record.answer(path, split.query))
            except KeyError:
                self._say(404, b'{"message": "there is no record of that"}')

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = urlsplit(self.path).path.split("/")
            if path[-1] == "kill":
                record.signal(path[-2])
                self._say(204, b"")
                return
            asked = json.loads(body)
            record.lease = [{"Name": asked["Name"], "Labels": asked["Labels"]}]
            self._say(201, _bytes(record.lease[0]))

        def do_DELETE(self) -> None:
            """Who gives the lease back tidies up: there is nothing to tidy."""
            self._say(204, b"")

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def _stay(self) -> None:
            """A stream of events, until nobody reads it any more."""
            heard: SimpleQueue[bytes] = SimpleQueue()
            record.listeners.append(heard)
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.flush()
            while line := heard.get():
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()

        def address_string(self) -> str:
            return "socket"

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    return Handler


def _inspected(one: Instance) -> dict[str, Any]:
    state = {"Status": "running", "Running": True, "StartedAt": _stamp(one.started), "FinishedAt": "0001-01-01T00:00:00Z"}
    config = {**one.detail["Config"], "Labels": one.labels}
    return {
        **one.detail,
        "Id": one.id,
        "Name": f"/{one.name}",
        "Created": _stamp(one.created),
        "State": state,
        "Image": one.image_id,
        "RestartCount": 0,
        "Config": config,
    }


def _row(one: Instance) -> dict[str, Any]:
    networks = {name: {"NetworkID": place["NetworkID"], "EndpointID": name} for name, place in _networks(one).items()}
    return {
        "Id": one.id,
        "Names": [f"/{one.name}"],
        "Image": one.detail["Config"]["Image"],
        "ImageID": one.image_id,
        "Command": "sleep 1000000",
        "Created": int(one.created.timestamp()) if one.created else 0,
        "Ports": [],
        "Labels": one.labels,
        "State": "running",
        "Status": "Up 26 hours",
        "HostConfig": {"NetworkMode": "none"},
        "NetworkSettings": {"Networks": networks},
        "Mounts": [],
    }


def _networks(one: Instance) -> Mapping[str, Any]:
    found: Mapping[str, Any] = one.detail["NetworkSettings"]["Networks"]
    return found


def _stamp(at: datetime | None) -> str:
    return at.isoformat().replace("+00:00", "Z") if at else ""


def _bytes(document: object) -> bytes:
    return json.dumps(document).encode()


if __name__ == "__main__":
    main()
