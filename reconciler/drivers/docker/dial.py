"""How is a connection to the engine opened: through a local socket, or through ssh as Docker's own command line does it?"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from docker.transport.basehttpadapter import BaseHTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from reconciler.errors import UsageError

CONNECT_SECONDS, ALIVE_SECONDS = 10, 15
"""How long ssh may take to connect; how often it asks whether the other side is still there."""

Dial = Callable[[float | None], socket.socket]
"""Opens a connection; its argument is the time-out of each wait on it, in seconds, None for none."""


class OneEngine(BaseHTTPAdapter):
    """Sends every request to one engine. The SDK keeps a pool of connections for each URL it ever saw; one is enough."""

    def __init__(self, dial: Dial, timeout_seconds: float, connections: int) -> None:
        super().__init__()
        self._pool = _Pool(dial, timeout_seconds, connections)

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> Any:
        return request.path_url

    def close(self) -> None:
        super().close()
        self._pool.close()


class _Pool(HTTPConnectionPool):
    def __init__(self, dial: Dial, timeout_seconds: float, connections: int) -> None:
        super().__init__("localhost", timeout=timeout_seconds, maxsize=connections)
        self._dial = dial

    def _new_conn(self) -> Any:
        return _Connection(self._dial, self.timeout.connect_timeout)


class _Connection(HTTPConnection):
    def __init__(self, dial: Dial, timeout: Any) -> None:
        super().__init__("localhost", timeout=timeout)
        self._dial = dial

    def connect(self) -> None:
        self.sock = self._dial(self.timeout)


def socket_dial(path: str) -> Dial:
    """Return what connects to a socket of this machine."""

    def dial(timeout: float | None) -> socket.socket:
        with ExitStack() as undo:
            opened = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            opened.settimeout(timeout)
            opened.connect(path)
            undo.pop_all()
            return opened

    return dial


class SshFailed(ConnectionError):
    """ssh did not get through; its own words say why."""


def ssh_dial(address: str) -> Dial:
    """Return what runs `docker system dial-stdio` on the other side of ssh://[user@]host[:port][/socket].

    The ssh program does it, so keys, known hosts, jump hosts and everything else are as the user's ssh config says. It
    never asks: a host or key it does not know is an error. Raises UsageError for an address that is none.
    """
    command = _ssh_command(address)

    def dial(timeout: float | None) -> socket.socket:
        ours, theirs = socket.socketpair()
        with ExitStack() as undo, theirs:
            undo.enter_context(ours)
            through = _ThroughSsh(ours, _started(command, theirs.fileno()))
            undo.pop_all()
        through.settimeout(timeout)
        return through

    return dial


def _ssh_command(address: str) -> list[str]:
    at = urlsplit(address)
    if not at.hostname or at.hostname.startswith("-") or at.password or at.query or at.fragment:
        raise UsageError("the engine's address is not understood", hint="write ssh://USER@HOST:PORT, without a password")
    options = [
        "-T",
        "-o",
        "BatchMode=yes",
        "-o",
        f"ConnectTimeout={CONNECT_SECONDS}",
        "-o",
        f"ServerAliveInterval={ALIVE_SECONDS}",
    ]
    user = ["-l", at.username] if at.username else []
    port = ["-p", str(at.port)] if at.port else []
    engine = ["--host", f"unix://{at.path}"] if at.path.strip("/") else []
    return ["ssh", *options, *user, *port, "--", at.hostname, "docker", *engine, "system", "dial-stdio"]


def _started(command: list[str], end: int) -> subprocess.Popen[bytes]:
    # A session of its own: what ends us by a key does not end the calls that an orderly end still makes.
    try:
        return subprocess.Popen(command, stdin=end, stdout=end, stderr=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        raise SshFailed(f"ssh cannot be started: {error.strerror}") from error


class _ThroughSsh(socket.socket):
    """Our end of what ssh carries. ssh ends when this is closed."""

    def __init__(self, ours: socket.socket, ssh: subprocess.Popen[bytes]) -> None:
        super().__init__(fileno=ours.detach())
        self._words = b""
        self._silent = True
        self._watch = threading.Thread(target=self._await_end, args=(ssh,), name="ssh", daemon=True)
        self._watch.start()

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Read as any socket does. Raises SshFailed where it ends before anything came."""
        try:
            count = super().recv_into(*args, **kwargs)
        except ConnectionResetError:  # The request was not even read.
            count = 0
        if count:
            self._silent = False
        elif self._silent:
            self._watch.join(ALIVE_SECONDS)
            raise SshFailed(self._said())
        return count

    def _await_end(self, ssh: subprocess.Popen[bytes]) -> None:
        _, self._words = ssh.communicate()

    def _said(self) -> str:
        lines = [line for line in self._words.decode(errors="replace").splitlines() if line.strip()]
        return f"ssh says: {lines[-1].strip()}" if lines else "ssh ended without a word"
