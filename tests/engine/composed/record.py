"""Ask docker compose anew which calls it makes for compose.yaml: `record.py DOCKER_COMPOSE` writes calls.json.

Needs a Docker engine at /var/run/docker.sock, busybox:1.36 on it, and docker compose 2.40.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROJECT = "p7composed"
ENGINE = "/var/run/docker.sock"


class Engine(http.client.HTTPConnection):
    """A connection to the engine's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(ENGINE)


class Between(BaseHTTPRequestHandler):
    """Passes every call on to the engine and keeps those that change something."""

    protocol_version = "HTTP/1.1"
    calls: list[dict[str, Any]] = []

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        engine = Engine("engine")
        engine.request(self.command, self.path, body, {name: self.headers[name] for name in self.headers if name != "Host"})
        answer = engine.getresponse()
        said = answer.read()
        self.send_response(answer.status)
        for name in ("Content-Type", "Api-Version"):
            if value := answer.getheader(name):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else said)
        if self.command == "POST":
            path = "/" + self.path.split("/", 2)[2]
            made = json.loads(said).get("Id", "") if said else ""
            self.calls.append({"path": path, "body": json.loads(body) if body else None, "made": made})

    do_GET = do_POST = do_HEAD = do_DELETE = do_PUT = _pass_on

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main(compose: str) -> None:
    """Bring the project up and down again."""
    between = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    threading.Thread(target=between.serve_forever, daemon=True).start()
    address = {**os.environ, "DOCKER_HOST": f"tcp://127.0.0.1:{between.server_port}"}
    subprocess.run((compose, "-p", PROJECT, "up", "--detach", "--quiet-pull"), cwd=HERE, env=address, check=True)
    calls = list(Between.calls)
    subprocess.run((compose, "-p", PROJECT, "down", "--volumes", "--timeout", "1"), cwd=HERE, check=True)
    text = json.dumps(calls, indent=1).replace(str(HERE), "@HERE@")
    (HERE / "calls.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main(sys.argv[1])
