"""What stands between a client and its engine, counts the calls that change something, and spoils those it is told to?"""

from __future__ import annotations

import json
import re
import select
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Literal, assert_never

from worlds import SOCKET

BLOCK_BYTES = 1 << 16


# --- what is told to it --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `path` names what kind of thing is asked for (`/containers/{id}/start`), `target` which (with the query).

    `change` is how many calls that change something there were by then, this one included; 0 for one that only reads.
    """

    method: str
    path: str
    target: str
    change: int


@dataclass(frozen=True, slots=True)
class Drop:
    """End the connection: before the engine sees the request, or after it answered, which the client then never learns.

    `then` is called at that moment, before the connection ends.
    """

    when: Literal["before", "after"]
    then: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Delay:
    """Let the request wait; then it goes on, though its client may have given up. It is lost when the proxy ends first."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer in place of the engine, which never sees the request."""

    status: int
    message: str = "spoilt by a test"


Effect = Drop | Delay | Answer
Rule = tuple[Callable[[Call], bool], Effect]


def nth(number: int) -> Callable[[Call], bool]:
    """Say of a call whether it is the nth one, from 1, that changes something."""
    return lambda call: call.change == number


def asks(method: str, path: str) -> Callable[[Call], bool]:
    """Say of a call whether it is one of a kind: `asks("POST", "/images/create")`."""
    return lambda call: (call.method, call.path) == (method, path)


# --- the proxy -----------------------------------------------------------------------------------------------------------


@dataclass
class FaultProxy:
    """What went through so far, and what is to happen to what comes. Rules may be added at any time; the first one counts."""

    engine: Path
    rules: list[Rule] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    spoilt: list[Call] = field(default_factory=list)
    """The calls that a rule was about."""
    only_look: Callable[[tuple[str, ...]], bool] = lambda words: False
    """Says of the words of a program that is run in a container whether it changes nothing."""

    _counted: int = 0
    _looking: set[str] = field(default_factory=set)
    """The ids of such programs."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _silent: set[str] = field(default_factory=set)
    _open: dict[socket.socket, str] = field(default_factory=dict)
    """The client's end of every connection, and the path of what it waits for."""

    @property
    def changes(self) -> list[Call]:
        """Return the calls that change something, in the order in which they came."""
        return [call for call in self.calls if call.change]

    @property
    def endpoints(self) -> list[tuple[str, str]]:
        """Return what was used of the engine: method and path of each kind of call, sorted."""
        return sorted({(call.method, call.path) for call in self.calls})

    def begin_anew(self) -> None:
        """Forget calls and rules; the next change is the first one."""
        with self._lock:
            self.rules, self.calls, self.spoilt, self._counted = [], [], [], 0

    def cut(self, path: str = "/events") -> int:
        """End every connection that waits for an answer of this path; return how many there were."""
        with self._lock:
            waiting = [client for client, asked in self._open.items() if asked == path]
        for client in waiting:
            _hang_up(client)
        return len(waiting)

    def silence(self, path: str = "/events") -> None:
        """Keep from the clients, from now on, what follows the head of an answer of this path; connections stay."""
        self._silent.add(path)

    def _heard(self, method: str, target: str, body: bytes) -> tuple[Call, Effect | None]:
        path = template(target)
        with self._lock:
            only_reads = not _changes(method, path) or self._only_looks(path, target, body)
            self._counted += not only_reads
            call = Call(method, path, _unversioned(target), 0 if only_reads else self._counted)
            self.calls.append(call)
            effect = next((effect for about, effect in self.rules if about(call)), None)
            if effect:
                self.spoilt.append(call)
        return call, effect

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open[client] = ""
        try:
            with _dialled(self.engine) as engine:
                while self._exchange(_End(client, engine), _End(engine, client)):
                    pass
        except (_Gone, OSError):
            pass  # Either side may go whenever it likes; the other one learns of it by the end of its connection.
        finally:
            with self._lock:
                del self._open[client]
            _hang_up(client)

    def _exchange(self, client: _End, engine: _End) -> bool:
        """Carry one request and its answer; say whether the connection may carry another."""
        head = client.head()
        method, target, _ = head.first.split(" ", 2)
        request = head.raw, *client.body(head, endless=False)
        call, effect = self._heard(method, target, b"".join(request[1:]))
        with self._lock:
            self._open[client.socket] = call.path
        if not self._let_through(client, effect):
            return False
        for piece in request:
            engine.send(piece)
        if isinstance(effect, Drop):
            for _ in engine.answer(method):
                pass
            effect.then()
            return False
        return self._answer(call, client, engine)

    def _only_looks(self, path: str, target: str, body: bytes) -> bool:
        if path == "/exec/{id}/start":
            return _unversioned(target).split("/")[2] in self._looking
        return path == "/containers/{id}/exec" and self.only_look(tuple(json.loads(body)["Cmd"]))

    def _let_through(self, client: _End, effect: Effect | None) -> bool:
        match effect:
            case None:
                return True
            case Drop(when, then):
                if when == "before":
                    then()
                return when == "after"
            case Delay(seconds):
                return not self._ended.wait(seconds)
            case Answer(status, message):
                body = f'{{"message":"{message}"}}'
                about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
                client.send(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{about}\r\n\r\n{body}".encode())
                return False
            case _:
                assert_never(effect)

    def _answer(self, call: Call, client: _End, engine: _End) -> bool:
        lasts = True
        for number, piece in enumerate(engine.answer(call.method)):
            lasts = piece.lasts
            if call.path == "/containers/{id}/exec" and not call.change:
                self._looking.update(re.findall(r'"Id":"(\w+)"', piece.raw.decode("latin-1")))
            if not number or call.path not in self._silent:
                client.send(piece.raw)
            if piece.hijacked:
                _join(client, engine, self._ended)
        return lasts

    def _end(self) -> None:
        self._ended.set()
        with self._lock:
            clients = list(self._open)
        for client in clients:
            _hang_up(client)


@contextmanager
def fault_proxy(listens: Path, engine: Path = SOCKET) -> Iterator[FaultProxy]:
    """Listen at a socket for clients of an engine (`DOCKER_HOST=unix://…`); every connection ends with the block."""
    proxy = FaultProxy(engine)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            proxy._serve(self.request)

    with _Server(str(listens), Handler) as server:
        listening = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="fault proxy")
        listening.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            listening.join()
            proxy._end()


class _Server(socketserver.ThreadingUnixStreamServer):
    # A client opens as many connections as it likes; and the end of the server waits for all of them.
    request_queue_size = 128
    daemon_threads = False


# --- which call is it ------------------------------------------------------------------------------------------------------

_VERSION = re.compile(r"^/v\d+\.\d+(?=/)")
_NAMED = (
    # What stands here is no name: it is a call of its own.
    (re.compile(r"^/(?:containers|images|volumes|networks)/(?:json|create|prune|search|load|get)$"), None),
    (re.compile(r"^/images/.+?(?P<verb>/(?:json|history|push|tag|get))?$"), "/images/{name}"),
    (re.compile(r"^/distribution/.+(?P<verb>/json)$"), "/distribution/{name}"),
    (re.compile(r"^/volumes/[^/]+(?P<verb>)$"), "/volumes/{name}"),
    (re.compile(r"^/plugins/.+?(?P<verb>/(?:json|enable|disable|set|push|upgrade))?$"), "/plugins/{name}"),
    (re.compile(r"^/(?P<kind>containers|networks|exec)/[^/]+(?P<verb>/.*)?$"), "/{kind}/{{id}}"),
)
_ONLY_READ = re.compile(r"^(?:/auth|/session|/containers/\{id\}/(?:wait|attach|resize)|/exec/\{id\}/resize)$")


def template(target: str) -> str:
    """Return what kind of thing a request is about: `/containers/{id}/json` for `/v1.41/containers/web/json?size=1`."""
    path = _unversioned(target).partition("?")[0]
    for pattern, kind in _NAMED:
        if found := pattern.match(path):
            parts = found.groupdict(default="")
            return path if kind is None else kind.format(name="{name}", **parts) + parts["verb"]
    return path


def _unversioned(target: str) -> str:
    return _VERSION.sub("", target)


def _changes(method: str, path: str) -> bool:
    return method in ("POST", "PUT", "DELETE") and not _ONLY_READ.match(path)


# --- HTTP as far as it matters ---------------------------------------------------------------------------------------------


class _Gone(Exception):
    """One side has ended the connection."""


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a message: its first line, its fields by name in small letters, and all of it as it came."""

    first: str
    fields: dict[str, str]
    raw: bytes

    @property
    def chunked(self) -> bool:
        return "chunked" in self.fields.get("transfer-encoding", "").lower()


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of an answer; whether the connection lasts beyond the answer, and whether it is no longer HTTP."""

    raw: bytes
    lasts: bool
    hijacked: bool = False


class _End:
    """One end of a connection, read through a buffer; nothing more is read for an other end that is gone."""

    def __init__(self, end: socket.socket, other: socket.socket) -> None:
        self.socket, self._other, self._held = end, other, b""

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def head(self) -> _Head:
        raw = self._until(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").rstrip().split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return _Head(first, fields, raw)

    def body(self, head: _Head, *, endless: bool) -> Iterator[bytes]:
        """Yield what follows a head, as it comes; without a length it goes on to the end if it is endless, else is empty."""
        if head.chunked:
            yield from self._chunks()
        elif "content-length" in head.fields:
            yield from self._exactly(int(head.fields["content-length"]))
        elif endless:
            yield from self._rest()

    def answer(self, method: str) -> Iterator[_Piece]:
        """Yield the pieces of the answer to a request of this method."""
        head = self.head()
        status = int(head.first.split(" ", 2)[1])
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            yield _Piece(head.raw, lasts=False, hijacked=True)
            return
        empty = method == "HEAD" or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        lasts = empty or head.chunked or "content-length" in head.fields
        yield _Piece(head.raw, lasts)
        if not empty:
            for piece in self.body(head, endless=True):
                yield _Piece(piece, lasts)

    def taken(self) -> bytes:
        """Return what was read already and not yet given."""
        held, self._held = self._held, b""
        return held

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self._until(b"\r\n")
            yield line
            size = int(line.partition(b";")[0], 16)
            yield from self._exactly(size + 2)
            if not size:
                return

    def _exactly(self, count: int) -> Iterator[bytes]:
        while count:
            if not self._held:
                self._more()
            piece, self._held = self._held[:count], self._held[count:]
            count -= len(piece)
            yield piece

    def _rest(self) -> Iterator[bytes]:
        with suppress(_Gone):
            while True:
                yield self.taken()
                self._more()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            self._more()
        found, _, self._held = self._held.partition(mark)
        return found + mark

    def _more(self) -> None:
        while self.socket not in (ready := select.select([self.socket, self._other], [], [])[0]):
            if self._other in ready and not self._other.recv(1, socket.MSG_PEEK):
                raise _Gone
            # The other side speaks out of turn; it is heard when its turn comes.
            select.select([self.socket], [], [], 0.05)
        piece = self.socket.recv(BLOCK_BYTES)
        if not piece:
            raise _Gone
        self._held += piece


def _join(client: _End, engine: _End, ended: threading.Event) -> None:
    """Carry bytes both ways until the engine or everything ends; a client that says no more may still listen."""
    ways = {client.socket: engine, engine.socket: client}
    engine.send(client.taken())
    client.send(engine.taken())
    while engine.socket in ways and not ended.is_set():
        for ready in select.select(list(ways), [], [])[0]:
            if piece := ready.recv(BLOCK_BYTES):
                ways[ready].send(piece)
            else:
                ways.pop(ready).socket.shutdown(socket.SHUT_WR)


@contextmanager
def _dialled(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as engine:
        engine.connect(str(path))
        yield engine


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
