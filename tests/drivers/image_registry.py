"""What does an image registry answer, on a good day and on bad ones?

A registry of the distribution API on a port of this machine, which the engine may speak to without TLS. The first part
of a repository's name says how it behaves: `good/web`, `denied/web`, `limited/web`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LOGIN = "Basic " + base64.b64encode(b"anna:correct horse").decode()
CHALLENGE = {"WWW-Authenticate": 'Basic realm="test"'}
REFUSALS = {
    "denied": (403, "DENIED", "requested access to the resource is denied"),
    "missing": (404, "MANIFEST_UNKNOWN", "manifest unknown"),
    "limited": (429, "TOOMANYREQUESTS", "You have reached your pull rate limit"),
    "broken": (500, "UNKNOWN", "internal server error"),
}


@dataclass
class ImageRegistry:
    """Blobs by digest, and which digest each `repository:tag` names. A guarded one asks everybody to log in."""

    port: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    guarded: bool = False
    closing: threading.Event = field(default_factory=threading.Event)

    def push(self, name: str, layer: bytes, config: dict[str, Any]) -> str:
        """Make `repository:tag` name an image of one layer (a tar); return its digest."""
        packed = gzip.compress(layer, mtime=0)
        history = {"rootfs": {"type": "layers", "diff_ids": [_digest(layer)]}, "os": "linux", "architecture": "amd64"}
        about = json.dumps({**history, "config": config}, sort_keys=True).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._keep(about, "application/vnd.docker.container.image.v1+json"),
            "layers": [self._keep(packed, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
        }
        self.tags[name] = str(self._keep(json.dumps(manifest).encode(), MANIFEST)["digest"])
        return self.tags[name]

    def reference(self, name: str) -> str:
        """How the engine names what is kept here."""
        return f"127.0.0.1:{self.port}/{name}"

    def _keep(self, blob: bytes, kind: str) -> dict[str, Any]:
        self.blobs[_digest(blob)] = blob
        return {"mediaType": kind, "size": len(blob), "digest": _digest(blob)}


@contextmanager
def image_registry() -> Iterator[ImageRegistry]:
    registry = ImageRegistry()

    class Handler(_Handler):
        kept = registry

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield registry
    finally:
        registry.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: ImageRegistry

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self._answer(401 if self.kept.guarded else 200, b"{}", **(CHALLENGE if self.kept.guarded else {}))
            return
        asked = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/(.+)", self.path)
        assert asked, self.path
        self._answer_for(*asked.groups())

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Tests say what matters."""

    def _answer_for(self, repository: str, kind: str, wanted: str) -> None:
        behaviour = repository.partition("/")[0]
        digest = wanted if wanted.startswith("sha256:") else self.kept.tags.get(f"{repository}:{wanted}", "")
        if behaviour == "private" and self.headers.get("Authorization") != LOGIN:
            self._refuse(401, "UNAUTHORIZED", "authentication required", **CHALLENGE)
        elif behaviour in REFUSALS:
            self._refuse(*REFUSALS[behaviour])
        elif digest not in self.kept.blobs:
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        elif behaviour == "hanging" and kind == "blobs":
            self.kept.closing.wait(30)
        else:
            media = MANIFEST if kind == "manifests" else "application/octet-stream"
            self._answer(200, self.kept.blobs[digest], **{"Content-Type": media, "Docker-Content-Digest": digest})

    def _refuse(self, status: int, code: str, message: str, **headers: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._answer(status, body, **{"Content-Type": "application/json", **headers})

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()
