"""Where is the engine, and how is a call made to it?"""

from __future__ import annotations

import grp
import json
import math
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import docker
import requests
import urllib3
from docker.context import ContextAPI
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from docker.utils.config import load_general_config
from requests.adapters import HTTPAdapter

from reconciler.drivers.docker.dial import OneEngine, SshFailed, socket_dial, ssh_dial
from reconciler.drivers.docker.errors import Rejected, one_line
from reconciler.errors import ReconcilerError, Refused, Unreachable, UsageError
from reconciler.settings import RegistryAccess

OLDEST_API = (1, 41)
NEWEST_API = (1, 51)
"""The newest version whose answers this driver was written for. A newer engine is spoken to in this one."""

WIDTH = 8
"""How many calls that only read are made side by side."""

CONNECTIONS = 256
"""More than there can be workers: a connection beyond the pool would be opened and thrown away for each call."""

NO_DEADLINE = math.inf
"""For what may rightly be silent for ever."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Connection:
    """An engine that answered, and the API version spoken with it. Safe to use from many threads.

    Every call has a deadline in seconds on each wait for the engine's next byte, and raises Unreachable past it.
    """

    def __init__(
        self,
        session: docker.APIClient,
        host: str,
        version: Mapping[str, Any],
        timeout_seconds: float,
        logins: Mapping[str, RegistryAccess],
    ) -> None:
        self.host = host
        self.version = str(version.get("Version", ""))
        self.api = _negotiated(version)
        self.timeout_seconds = timeout_seconds
        self.logins = logins
        self._session = session
        self._base = f"{session.base_url}/v{'.'.join(map(str, self.api))}"

    def get(self, path: str, **query: object) -> Any:
        """Return the JSON document at the path. Mappings in the query are sent as JSON, None is left out."""
        return document(self.ask("GET", path, query=query))

    def post(self, path: str, body: object = None, *, seconds: float | None = None, **query: object) -> Any:
        """Post a JSON body (None: no body); return the JSON document answered, None when there is none."""
        answer = self.ask("POST", path, query=query, body=body, seconds=seconds)
        return document(answer) if answer.content else None

    def delete(self, path: str, **query: object) -> None:
        self.ask("DELETE", path, query=query)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Make one call. `content` is sent as it is; `stream` leaves the answer to be read, and closed, by the caller.

        Raises Rejected for an error the engine answers, Unreachable when it does not answer in time or at all.
        """
        kind = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = self._session.request(
                method,
                self._base + path,
                params=_parameters(query or {}),
                data=content if body is None else json.dumps(body),
                headers={**kind, **(headers or {})},
                timeout=(min(self.timeout_seconds, 10), self._deadline(seconds)),
                stream=stream,
                allow_redirects=False,
            )
        except BROKEN as error:
            raise unreachable(self.host, error) from error
        if answer.status_code >= 400:
            raise Rejected(answer.status_code, _message(answer))
        return answer

    def _deadline(self, seconds: float | None) -> float | None:
        wanted = self.timeout_seconds if seconds is None else seconds
        return None if wanted == NO_DEADLINE else wanted


BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""Whatever the transport raises, while connecting or while reading a stream."""

LATE = (requests.Timeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)


NO_LOGINS: Mapping[str, RegistryAccess] = {}


def open_connection(host: str | None, timeout_seconds: float, logins: Mapping[str, RegistryAccess] = NO_LOGINS) -> Connection:
    """Find the engine as Docker's own command line does and agree on an API version.

    An explicit host wins over DOCKER_HOST, that over DOCKER_CONTEXT, that over the current context of the Docker
    config. `logins` are the operator's, by host of the image registry. Raises UsageError for an address nobody
    understands, Refused for an engine too old or too new, Unreachable.
    """
    address, tls = _endpoint(host)
    session = _session(address, tls, timeout_seconds)
    try:
        answer = session.get(f"{session.base_url}/version", timeout=min(timeout_seconds, 10))
    except BROKEN as error:
        raise unreachable(address, error) from error
    if answer.status_code >= 400:
        raise Unreachable(f"{one_line(address)} answered {answer.status_code} to the question for its version")
    return Connection(session, address, document(answer), timeout_seconds, logins)


def path_of(template: str, *names: str) -> str:
    """Fill names into a path. Slashes, colons and `@` of image references stay. Raises Refused for `..` in a name."""
    for name in names:
        if not name or any(part in ("", ".", "..") for part in name.split("/")):
            raise Refused(f"{name!r} cannot be the name of anything on the engine")
    return template.format(*(quote(name, safe="/:@") for name in names))


def side_by_side(look: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call for every item, at most eight at once; return the results in the items' order."""
    several = list(items)
    if len(several) < 2:
        return [look(item) for item in several]
    with ThreadPoolExecutor(min(WIDTH, len(several)), "docker-look") as pool:
        return list(pool.map(look, several))


def document(answer: requests.Response) -> Any:
    """Return the JSON document answered. Raises Unreachable for what is none."""
    try:
        return json.loads(answer.content)
    except ValueError as error:
        raise Unreachable("the engine answered something that is no JSON: is a proxy in between?") from error


def unreachable(host: str, error: BaseException) -> Unreachable:
    """Say why nobody answered: for a local socket with path, user and group, as far as they are to blame."""
    path, chain = host.removeprefix("unix://"), _chain(error)
    if any(isinstance(one, LATE) for one in chain):
        hint = "what it was asked may be done or not"
        return Unreachable(f"the engine at {one_line(host)} did not answer in time", hint=hint)
    if failed := next((one for one in chain if isinstance(one, SshFailed)), None):
        hint = "it must get there without a question: known host, key without a passphrase or an agent"
        return Unreachable(f"the engine at {one_line(host)} cannot be reached: {one_line(str(failed))}", hint=hint)
    if any(isinstance(one, FileNotFoundError) for one in chain):
        hint = "start the engine, set DOCKER_HOST, or mount the socket into this container"
        return Unreachable(f"there is no engine socket at {path}", hint=hint)
    if any(isinstance(one, PermissionError) for one in chain):
        return _forbidden(path)
    said = next((one.strerror for one in reversed(chain) if isinstance(one, OSError) and one.strerror), str(chain[-1]))
    return Unreachable(f"the engine at {one_line(host)} cannot be reached: {one_line(said)}", hint="is the engine running?")


def _endpoint(host: str | None) -> tuple[str, Any]:
    """Return address and TLS settings."""
    explicit = host or os.environ.get("DOCKER_HOST")
    try:
        if explicit:
            settings = dict[str, Any](kwargs_from_env({**os.environ, "DOCKER_HOST": explicit}))
        elif name := os.environ.get("DOCKER_CONTEXT") or _current_context():
            settings = _context(name)
        else:
            settings = {}
    except (DockerException, OSError) as error:
        raise UsageError(f"the engine's address or certificates cannot be used: {one_line(str(error))}") from error
    # TLS certificates in the environment say nothing about a local socket.
    address = str(settings.get("base_url") or "unix:///var/run/docker.sock")
    return address, False if address.startswith(("unix://", "ssh://")) else settings.get("tls") or False


def _current_context() -> str:
    name = load_general_config().get("currentContext", "")
    return "" if name == "default" else str(name)


def _context(name: str) -> dict[str, Any]:
    if name == "default":
        return {}
    if not ContextAPI.get_context(name):
        raise UsageError(f"there is no Docker context {name!r}", hint="`docker context ls` shows those there are")
    return dict(ContextAPI.kwargs_from_context(name))


def _session(address: str, tls: Any, timeout_seconds: float) -> docker.APIClient:
    """Return a session whose paths are ours, and so is the agreement on a version: it asks nothing by itself."""
    adapter, base = _adapter(address, timeout_seconds)
    try:
        session = docker.APIClient(base, version="1.41", timeout=math.ceil(timeout_seconds), tls=tls)
    except DockerException as error:
        raise _misunderstood(address, error) from error
    # A CA bundle in the environment would take the place of the one that DOCKER_CERT_PATH names; and to look up
    # proxies and .netrc would cost as much as the call.
    session.trust_env = False
    # Archives would come compressed, and a stream is read as it is.
    session.headers["Accept-Encoding"] = "identity"
    for scheme in ("http://", "https://", "http+docker://"):
        session.mount(scheme, adapter)
    return session


def _adapter(address: str, timeout_seconds: float) -> tuple[HTTPAdapter, str]:
    """Return what carries requests to the address, and what the SDK is to think of it."""
    if address.startswith("ssh://"):
        return OneEngine(ssh_dial(address), timeout_seconds, CONNECTIONS), "tcp://localhost:2375"
    if address.startswith("unix://"):
        return OneEngine(socket_dial("/" + address.removeprefix("unix://").lstrip("/")), timeout_seconds, CONNECTIONS), address
    return HTTPAdapter(pool_maxsize=CONNECTIONS), address


def _misunderstood(address: str, error: Exception) -> ReconcilerError:
    return UsageError(f"the engine's address {one_line(address)} is not understood: {one_line(str(error))}")


def _negotiated(version: Mapping[str, Any]) -> tuple[int, int]:
    """Return the newest API version both sides speak."""
    newest, oldest = _api(version.get("ApiVersion")), _api(version.get("MinAPIVersion") or "1.0")
    if newest < OLDEST_API or oldest > NEWEST_API:
        spoken = f"API {_dotted(oldest)} to {_dotted(newest)}"
        raise Refused(
            f"the engine, version {version.get('Version', 'unknown')}, speaks {spoken}; "
            f"this program speaks {_dotted(OLDEST_API)} to {_dotted(NEWEST_API)}",
            hint="upgrade the engine to 20.10 or newer" if newest < OLDEST_API else "upgrade reconciler",
        )
    return min(newest, NEWEST_API)


def _api(text: object) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)\.(\d+)", str(text))
    if not found:
        raise Unreachable(f"what answered is no Docker engine: its API version is {one_line(str(text))!r}")
    return int(found[1]), int(found[2])


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _parameters(query: Mapping[str, object]) -> dict[str, str]:
    return {key: _parameter(value) for key, value in query.items() if value is not None}


def _parameter(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, Mapping) else str(value)


def _message(answer: requests.Response) -> str:
    """Return the engine's own words, or the body as it is when no engine wrote it."""
    with answer:
        with suppress(ValueError, AttributeError):
            return str(json.loads(answer.content).get("message", ""))
        return answer.text


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error and everything it wraps: the transport's layers each wrap in a way of their own."""
    chain: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in chain:
            chain.append(one)
            waiting += [*one.args, one.__cause__, one.__context__, getattr(one, "reason", None)]
    return chain


def _forbidden(path: str) -> Unreachable:
    message = f"user {_user()} may not open the engine socket {path}"
    try:
        about = os.stat(path)
    except OSError:
        return Unreachable(message, hint="the directory around it is closed to this user")
    group = _group(about.st_gid)
    return Unreachable(
        f"{message} (owner {about.st_uid}, group {group}, mode {stat.S_IMODE(about.st_mode):04o})",
        hint=f"add the user to that group, or run the container with --group-add {about.st_gid}",
    )


def _user() -> str:
    with suppress(KeyError):
        return f"{pwd.getpwuid(os.geteuid()).pw_name} (uid {os.geteuid()})"
    return f"with uid {os.geteuid()}"


def _group(gid: int) -> str:
    with suppress(KeyError):
        return f"{grp.getgrgid(gid).gr_name} ({gid})"
    return str(gid)
