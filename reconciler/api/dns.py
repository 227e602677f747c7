"""Under which addresses do names of the registry answer, over DNS?

    web.service.reconciler           A, AAAA, SRV
    _web._tcp.service.reconciler     the same, as RFC 2782 writes it
    blue.web.service.reconciler      only entries with the tag `blue`; also _web._blue.service.reconciler
    NODE.node.reconciler             this machine
    0a000001.addr.reconciler         what SRV records point at: the address itself, in hexadecimal

`.consul` stands for `.reconciler`, and a datacenter may stand before either.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from dnslib import AAAA, CLASS, QTYPE, RCODE, RR, SOA, SRV, A, DNSError, DNSRecord

from reconciler.api.consul_documents import DATACENTER
from reconciler.errors import Unreachable
from reconciler.model.catalog import Entry, Listing, Standing
from reconciler.ports import Catalog

DOMAINS = ("reconciler", "consul")
TTL_SECONDS = 0
"""Nobody may remember where a container was."""
UDP_BYTES, MOST_UDP_BYTES = 512, 1232
"""What fits without and, at most, with EDNS; 1232 passes every path (DNS flag day 2020)."""

Shuffle = Callable[[list[Entry]], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for; nothing usable in it means that nothing can serve right now."""

    entries: tuple[Entry, ...] = ()
    addresses: tuple[str, ...] = ()


def answer(packet: bytes, catalog: Catalog, *, udp: bool, shuffle: Shuffle = random.shuffle) -> bytes | None:
    """Return the answer to a query, None for what is no query at all."""
    try:
        query = DNSRecord.parse(packet)
    except (DNSError, ValueError, IndexError):
        return None
    if query.header.qr or len(query.questions) != 1:
        return None
    reply = query.reply(ra=0, aa=1)
    if query.header.opcode != 0:
        reply.header.rcode = RCODE.NOTIMP
    else:
        _fill(reply, catalog, shuffle)
    return _fitting(query, reply) if udp else bytes(reply.pack())


def _fill(reply: DNSRecord, catalog: Catalog, shuffle: Shuffle) -> None:
    labels = tuple(label.decode("latin-1").lower() for label in reply.q.qname.label)
    domain = labels[-1] if labels else ""
    if domain not in DOMAINS or reply.q.qclass not in (CLASS.IN, 255):
        # Whoever asks us first and others next must not take this for the last word.
        reply.header.rcode, reply.header.aa = RCODE.REFUSED, 0
        return
    try:
        found = _found(labels[:-1], catalog.listing())
    except Unreachable:
        reply.header.rcode, reply.header.aa = RCODE.SERVFAIL, 0
        return
    if found is None:
        reply.header.rcode = RCODE.NXDOMAIN
    else:
        _tell(reply, found, domain, shuffle)
    if not reply.rr:
        authority = SOA(f"ns.{domain}", f"hostmaster.{domain}", (1, 3600, 600, 86400, TTL_SECONDS))
        reply.add_auth(RR(domain, QTYPE.SOA, rdata=authority, ttl=TTL_SECONDS))


# --- what a name stands for ------------------------------------------------------------------------------------------


def _found(labels: tuple[str, ...], listing: Listing) -> Found | None:
    """Return what the labels before the domain name, None for nothing."""
    if labels[-1:] == (DATACENTER,):
        labels = labels[:-1]
    match labels:
        case ():
            return Found()
        case (*name, "service") if name:
            return _service(tuple(name), listing)
        case (node, "node") if node == listing.node.lower():
            return Found(addresses=(listing.address,))
        case (digits, "addr"):
            return _address_in(digits)
    return None


def _service(name: tuple[str, ...], listing: Listing) -> Found | None:
    if len(name) == 2 and all(part.startswith("_") for part in name):
        service, tag = name[0][1:], name[1][1:]
        return _tagged(listing, service, "" if tag in ("tcp", "udp") else tag)
    whole = _tagged(listing, ".".join(name), "")
    return whole or (_tagged(listing, ".".join(name[1:]), name[0]) if len(name) > 1 else None)


def _tagged(listing: Listing, service: str, tag: str) -> Found | None:
    entries = [one for one in listing.named(service) if not tag or tag in {word.lower() for word in one.tags}]
    return Found(tuple(one for one in entries if one.standing is not Standing.CRITICAL)) if entries else None


def _address_in(digits: str) -> Found | None:
    with suppress(ValueError):
        return Found(addresses=(str(ipaddress.ip_address(bytes.fromhex(digits))),))
    return None


# --- records ---------------------------------------------------------------------------------------------------------


def _tell(reply: DNSRecord, found: Found, domain: str, shuffle: Shuffle) -> None:
    name, kind, entries = reply.q.qname, reply.q.qtype, list(found.entries)
    shuffle(entries)
    if kind in (QTYPE.SRV, QTYPE.ANY):
        for entry in entries:
            _tell_place(reply, entry, domain)
    for address in dict.fromkeys((*found.addresses, *(entry.address for entry in entries))):
        for record in _address_records(name, address):
            if kind in (record.rtype, QTYPE.ANY):
                reply.add_answer(record)


def _tell_place(reply: DNSRecord, entry: Entry, domain: str) -> None:
    """Say at which port of which host, and what that host's address is."""
    host = entry.address
    with suppress(ValueError):
        host = f"{ipaddress.ip_address(entry.address).packed.hex()}.addr.{DATACENTER}.{domain}"
    reply.add_answer(RR(reply.q.qname, QTYPE.SRV, rdata=SRV(1, 1, entry.port, host), ttl=TTL_SECONDS))
    for record in _address_records(host, entry.address):
        if record not in reply.ar:
            reply.add_ar(record)


def _address_records(name: object, address: str) -> Iterator[RR]:
    with suppress(ValueError):
        match ipaddress.ip_address(address):
            case ipaddress.IPv4Address():
                yield RR(name, QTYPE.A, rdata=A(address), ttl=TTL_SECONDS)
            case ipaddress.IPv6Address():
                yield RR(name, QTYPE.AAAA, rdata=AAAA(address), ttl=TTL_SECONDS)


def _fitting(query: DNSRecord, reply: DNSRecord) -> bytes:
    """Leave out what does not fit into a datagram, and say so: whoever wants the rest asks over TCP."""
    offered = [record.edns_len for record in query.ar if record.rtype == QTYPE.OPT]
    room = min(MOST_UDP_BYTES, max(UDP_BYTES, *offered)) if offered else UDP_BYTES
    packed = bytes(reply.pack())
    if len(packed) > room:
        reply.ar.clear()
        packed = bytes(reply.pack())
    while len(packed) > room:
        reply.header.tc = 1
        reply.rr.pop()
        packed = bytes(reply.pack())
    return packed
