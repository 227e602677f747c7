"""Which text has HAProxy do what the config says?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from reconciler.errors import Refused
from reconciler.model.gateway_container import HOME, SERVERS, SOCKET_LINE
from reconciler.model.traffic import (
    DIRECTORY,
    Admission,
    Backend,
    Layer,
    Listener,
    ObservedServer,
    Route,
    TrafficConfig,
    is_name,
)

_MARK = "# traffic "
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")

# Up soon, and down late: who refuses connections loses nobody's request, since it is sent elsewhere, and who is only slow for
# a while would take all others with it.
_CHECK = "check inter 2s fastinter 1s downinter 250ms rise 2 fall 3"

# Comments say what was measured or chosen; the text itself goes to HAProxy with them.
_BEGINNING = f"""\
global
    description %s
    uid 99
    gid 99
    # Tables for as many connections as the engine's limit allows would take a gigabyte.
    fd-hard-limit 65536
    # What is left of a worker from before a reload, or of a gateway that is replaced, ends at last.
    hard-stop-after 7d
    log stdout format raw daemon
    {SOCKET_LINE}
    server-state-file "${{{HOME}}}/{SERVERS}"
    ssl-default-bind-options ssl-min-ver TLSv1.2

defaults common
    log global
    option dontlognull
    # What went well would only fill the engine's log.
    option dontlog-normal
    load-server-state-from-file global
    # Weights give exact shares, and servers can be added without a reload.
    balance roundrobin
    # Only what no server has seen may be sent again.
    retries 3
    option redispatch 1
    retry-on conn-failure
    timeout connect 2s
    timeout check 5s
    timeout queue 30s
    option clitcpka
    option srvtcpka

defaults l4 from common
    mode tcp
    option tcplog
    # A port that a container publishes cuts nobody for being silent, so neither does this one.
    timeout client 7d
    timeout server 7d
    timeout tunnel 7d
    timeout client-fin 1h
    timeout server-fin 1h

defaults l7 from common
    mode http
    option httplog
    timeout http-request 60s
    timeout http-keep-alive 75s
    timeout client 1h
    timeout server 1h
    timeout tunnel 7d
    # Without it a reload cuts clients that are about to send their next request.
    option idle-close-on-response
    # A server may close a connection that waits for a next request just as it is sent: so none waits.
    option http-server-close
"""


def render(config: TrafficConfig, servers: Iterable[ObservedServer] = (), *, ipv6: bool = True) -> str:
    """Return HAProxy's config, with a line for each server; without servers, what a gateway may start with.

    Equal configs make equal texts. `ipv6` says whether the host has it. Raises Refused for a name or a path that HAProxy
    would not read as one word.
    """
    known = tuple(servers)
    body = "\n".join(
        (
            _BEGINNING % config.digest,
            *(_frontend(listener, ipv6) for listener in config.listeners),
            *(_backend(one, _host_of(config, one), [server for server in known if server.backend == one.name])
              for one in config.backends),
        )
    )  # fmt: skip
    return f"{_MARK}{config.digest} {_digest(body)}\n{body}"


def trial(listeners: Iterable[Listener], *, ipv6: bool = True) -> str:
    """Return a config with which HAProxy takes the listeners' ports and ends at once: the last one can never be had."""
    binds = [f"frontend {one.name}\n    mode tcp\n    bind {_place(one, ipv6)}" for one in listeners]
    return "\n".join((*binds, f"frontend never\n    mode tcp\n    bind unix@{DIRECTORY}/never/never\n"))


def digest_in(text: str) -> str:
    """Return the digest of the config that a rendered text carries out, "" where somebody has changed the text since."""
    first, _, body = text.partition("\n")
    config, _, said = first.removeprefix(_MARK).partition(" ")
    return config if first.startswith(_MARK) and said == _digest(body) else ""


def certificate_file(name: str) -> str:
    """Return the name of the file in the gateway's directory."""
    return f"{_name(name)}.pem"


def certificate_files(text: str) -> tuple[str, ...]:
    """Return the files that a rendered text reads certificates from."""
    return tuple(dict.fromkeys(re.findall(rf" crt {DIRECTORY}/(\S+)", text)))


def server_words(backend: Backend, server: str, address: str, port: int, weight: int) -> str:
    """Return what stands behind `server`, or `add server BACKEND/`, for a server that is checked."""
    proxy = " send-proxy-v2 check-send-proxy" if backend.proxy_protocol else ""
    return f"{_name(server)} {_socket(address, port)} weight {weight} {_CHECK}{proxy}"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:12]


def _frontend(listener: Listener, ipv6: bool) -> str:
    lines = [f"frontend {listener.name} from {_defaults(listener.layer)}", f"    bind {_bind(listener, ipv6)}"]
    lines += _routing(listener) if listener.layer is Layer.L7 else ()
    if listener.backend:
        lines.append(f"    default_backend {_name(listener.backend)}")
    elif listener.layer is Layer.L4:
        lines.append("    tcp-request connection reject")
    return "\n".join(lines) + "\n"


def _bind(listener: Listener, ipv6: bool) -> str:
    certificates = [f"crt {DIRECTORY}/{certificate_file(name)}" for name in listener.certificates]
    return " ".join([_place(listener, ipv6), *(("ssl", *certificates, "alpn h2,http/1.1") if certificates else ())])


def _place(listener: Listener, ipv6: bool) -> str:
    if listener.address:
        return _socket(listener.address, listener.port)
    return f":::{listener.port} v4v6" if ipv6 else f"0.0.0.0:{listener.port}"


def _routing(listener: Listener) -> Iterator[str]:
    """Yield the rules, the most precise host first and of its paths the longest: HAProxy takes the first that fits."""
    # What a client says of itself here is not to be believed: the gateway is the first to see it.
    yield "    http-request set-header X-Forwarded-For %[src]"
    yield f"    http-request set-header X-Forwarded-Proto {'https' if listener.certificates else 'http'}"
    yield "    http-request set-var(txn.host) req.hdr(host),host_only,lower"
    for route in sorted(listener.routes, key=_precision):
        host, path = _host_condition(route.host.lower()), route.path.rstrip("/")
        below = f"{host} {{ path -m beg {_word(path + '/')} }}"
        conditions = [f"{host} {{ path -m str {_word(path)} }}", below] if path else [host or "TRUE"]
        yield f"    use_backend {_name(route.backend)} if {' or '.join(one.strip() for one in conditions)}"


def _precision(route: Route) -> tuple[int, int, str, str]:
    vague = 2 if not route.host else int(route.host.startswith("*."))
    return vague, -len(route.path.rstrip("/")), route.host, route.path


def _host_condition(host: str) -> str:
    if not host:
        return ""
    if host.startswith("*."):
        return f"{{ var(txn.host) -m reg {_word(f'^[^.]+{re.escape(host[1:])}$')} }}"
    return f"{{ var(txn.host) -m str {_word(host)} }}"


def _backend(backend: Backend, host: str, servers: Iterable[ObservedServer]) -> str:
    lines = [f"backend {_name(backend.name)} from {_defaults(backend.layer)}"]
    if backend.health:
        lines += [
            "    option httpchk",
            f"    http-check send meth GET uri {_word(backend.health)} ver HTTP/1.1 hdr Host {_word(host)}",
            "    http-check expect status 200-399",
        ]
    lines += [f"    server {_server(backend, one)}" for one in sorted(servers, key=lambda one: one.name)]
    return "\n".join(lines) + "\n"


def _server(backend: Backend, server: ObservedServer) -> str:
    """One that drains has weight 0 until it can be told again to drain: no state file says so."""
    weight = 0 if server.admission is Admission.DRAIN else server.weight
    words = server_words(backend, server.name, server.address, server.port, weight)
    return f"{words} disabled" if server.admission is Admission.MAINT else words


def _host_of(config: TrafficConfig, backend: Backend) -> str:
    """Return a host that the service expects to be called by: some answer no other, not even to a check."""
    routes = (route for listener in config.listeners for route in listener.routes)
    hosts = (route.host for route in routes if route.backend == backend.name and route.host and "*" not in route.host)
    return next(hosts, "localhost")


def _defaults(layer: Layer) -> str:
    return "l7" if layer is Layer.L7 else "l4"


def _socket(address: str, port: int) -> str:
    try:
        where = ip_address(address)
    except ValueError:
        raise Refused(f"{address!r} is no address of a host") from None
    return f"[{where}]:{port}" if where.version == 6 else f"{where}:{port}"


def _name(text: str) -> str:
    if not is_name(text):
        raise Refused(f"{text!r} cannot be a name in the gateway: it may have letters, digits and `_.:-`")
    return text


def _word(text: str) -> str:
    """Quote a word so that nothing in it means anything to HAProxy."""
    if _UNPRINTABLE.search(text):
        raise Refused(f"{text!r} cannot be told to the gateway: it has blanks or characters that cannot be printed")
    return "'" + text.replace("'", r"'\''") + "'"
