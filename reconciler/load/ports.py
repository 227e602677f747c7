"""Which ports of the container does a short entry open, on which ports of the host?

The grammar is the Docker CLI's: `[[ADDRESS:][HOST[-HOST]]:]CONTAINER[-CONTAINER][/PROTOCOL]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

_PROTOCOLS = ("tcp", "udp", "sctp")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?\Z", re.ASCII)
_HIGHEST = 65535


@dataclass(frozen=True, slots=True)
class Port:
    """One opened port. `published` is a number, a range the engine picks from, or "" for any free port."""

    target: int
    published: str
    address: str
    protocol: str


def parse_ports(text: str) -> tuple[Port, ...]:
    """Return the ports of an entry, a range spelled out. Raises ValueError with the reason."""
    rest, _, protocol = text.partition("/")
    protocol = protocol.partition("/")[0].lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f'"{protocol}" is no protocol: tcp, udp or sctp')
    address, host, container = _split(rest)
    if not container:
        raise ValueError("it names no port of the container")
    targets = _range(container, "container port")
    published = _published(host, targets)
    found = [Port(target, host_port, address, protocol) for target, host_port in zip(targets, published, strict=True)]
    # Compose sorts the ports of a range as texts: 9 comes after 10.
    return tuple(sorted(found, key=lambda port: f"{port.target}/{port.protocol}"))


def is_address(text: str) -> bool:
    """Say whether the text is an IPv4 or IPv6 address, without a zone."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _split(text: str) -> tuple[str, str, str]:
    front, _, container = text.rpartition(":")
    address, separator, host = front.rpartition(":")
    if not separator:
        return "", front, container
    return _address(address), host, container


def _address(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    elif ":" in text:
        raise ValueError(f'"{text}" is no address; put an IPv6 address into []')
    if text and not is_address(text):
        raise ValueError(f'"{text}" is no IP address')
    return text


def _published(host: str, targets: range) -> list[str]:
    if not host:
        return [""] * len(targets)
    ports = _range(host, "host port")
    if len(ports) == len(targets):
        return [str(port) for port in ports]
    # A range for one port of the container leaves the choice to the engine.
    if len(targets) == 1:
        return [f"{ports[0]}-{ports[-1]}"]
    raise ValueError("the ranges of host and container differ in length")


def _range(text: str, what: str) -> range:
    match = _RANGE.match(text)
    if not match:
        raise ValueError(f'"{text}" is no {what}')
    first = int(match[1])
    last = int(match[2] or match[1])
    if last < first:
        raise ValueError(f"the {what} range {text} runs backwards")
    if last > _HIGHEST:
        raise ValueError(f"the {what} {last} is above {_HIGHEST}")
    return range(first, last + 1)
