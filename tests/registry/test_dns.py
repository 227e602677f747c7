"""Do names of the registry answer over DNS, and is everything else left to others?"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from dnslib import CLASS, QTYPE, RCODE, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st
from shelf import ADDRESS, filled, publish, web

from reconciler.api.datagrams import answering
from reconciler.api.dns import answer
from reconciler.drivers.catalog import MemoryCatalog
from reconciler.drivers.clock import SystemClock
from reconciler.errors import Refused
from reconciler.model.catalog import Standing

CATALOG = filled(
    web(1),
    web(2, tags=("green",)),
    web(3, Standing.CRITICAL),
    web(4, name="api.v1", address="2001:db8::1", port=9090),
    web(5, Standing.CRITICAL, name="sick"),
    web(6, name="named", address="db.example.org"),
)


def asked(name: str, kind: str = "A", catalog: MemoryCatalog = CATALOG, *, udp: bool = True) -> DNSRecord:
    said = answer(DNSRecord.question(name, kind).pack(), catalog, udp=udp, shuffle=lambda entries: None)
    assert said is not None
    return DNSRecord.parse(said)


def data(records: list[object]) -> list[str]:
    return [str(record.rdata) for record in records]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("web.service.reconciler", "A", ["10.0.0.1", "10.0.0.2"]),
        ("WEB.Service.Reconciler", "A", ["10.0.0.1", "10.0.0.2"]),
        ("web.service.consul", "A", ["10.0.0.1", "10.0.0.2"]),
        ("web.service.reconciler.consul", "A", ["10.0.0.1", "10.0.0.2"]),
        ("green.web.service.reconciler", "A", ["10.0.0.2"]),
        ("_web._green.service.reconciler", "A", ["10.0.0.2"]),
        ("_web._tcp.service.reconciler", "A", ["10.0.0.1", "10.0.0.2"]),
        ("web.service.reconciler", "AAAA", []),
        ("api.v1.service.reconciler", "AAAA", ["2001:db8::1"]),
        ("sick.service.reconciler", "A", []),
        ("web.service.reconciler", "MX", []),
        ("host-1.node.reconciler", "A", [ADDRESS]),
        ("0a000001.addr.reconciler", "A", ["10.0.0.1"]),
        ("reconciler", "A", []),
    ],
)
def test_a_name_stands_for_those_that_can_serve(name: str, kind: str, found: list[str]) -> None:
    reply = asked(name, kind)
    assert (reply.header.rcode, reply.header.aa) == (RCODE.NOERROR, 1)
    assert data(reply.rr) == found
    assert {record.ttl for record in (*reply.rr, *reply.auth)} == {0}


def test_srv_tells_port_and_host_and_where_that_is() -> None:
    reply = asked("_web._tcp.service.reconciler", "SRV")
    assert data(reply.rr) == [
        "1 1 8080 0a000001.addr.reconciler.reconciler.",
        "1 1 8080 0a000002.addr.reconciler.reconciler.",
    ]
    assert data(reply.ar) == ["10.0.0.1", "10.0.0.2"]
    assert data(asked("0a000001.addr.reconciler.reconciler").rr) == ["10.0.0.1"]
    assert data(asked("named.service.consul", "SRV").rr) == ["1 1 8080 db.example.org."]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nobody.service.reconciler", RCODE.NXDOMAIN),
        ("another.node.reconciler", RCODE.NXDOMAIN),
        ("xyz.addr.reconciler", RCODE.NXDOMAIN),
        ("service.reconciler", RCODE.NXDOMAIN),
        ("example.org", RCODE.REFUSED),
        ("web", RCODE.REFUSED),
        (".", RCODE.REFUSED),
    ],
)
def test_what_is_not_there_is_told_apart_from_what_is_others(name: str, code: int) -> None:
    reply = asked(name)
    assert (reply.header.rcode, reply.rr) == (code, [])
    assert bool(reply.auth) == (code == RCODE.NXDOMAIN)


def test_before_the_first_look_another_server_may_know_more() -> None:
    assert asked("web.service.reconciler", catalog=MemoryCatalog(SystemClock(), "host-1")).header.rcode == RCODE.SERVFAIL


def test_answers_are_shuffled() -> None:
    question = DNSRecord.question("web.service.reconciler").pack()
    said = answer(question, CATALOG, udp=True, shuffle=lambda entries: entries.reverse())
    assert said is not None
    assert data(DNSRecord.parse(said).rr) == ["10.0.0.2", "10.0.0.1"]


def test_what_does_not_fit_into_a_datagram_is_asked_again_over_tcp() -> None:
    many = filled(*(web(number) for number in range(1, 101)))
    small = answer(DNSRecord.question("web.service.reconciler").pack(), many, udp=True)
    assert small is not None
    assert len(small) <= 512
    assert DNSRecord.parse(small).header.tc == 1
    assert len(asked("web.service.reconciler", catalog=many, udp=False).rr) == 100


def test_only_questions_are_answered() -> None:
    response = DNSRecord.question("web.service.reconciler")
    response.header.qr = 1
    none = DNSRecord(DNSHeader(id=1))
    assert answer(response.pack(), CATALOG, udp=True) is None
    assert answer(none.pack(), CATALOG, udp=True) is None
    update = DNSRecord(DNSHeader(id=1, opcode=5), q=DNSQuestion("web.service.reconciler", QTYPE.A, CLASS.IN))
    said = answer(update.pack(), CATALOG, udp=True)
    assert said is not None
    assert DNSRecord.parse(said).header.rcode == RCODE.NOTIMP


@given(st.binary(max_size=200))
def test_no_packet_makes_it_stumble(packet: bytes) -> None:
    answer(packet, CATALOG, udp=True)


@given(st.binary(max_size=60), st.integers(0, 40))
def test_no_damaged_question_makes_it_stumble(noise: bytes, at: int) -> None:
    packet = bytes(DNSRecord.question("web.service.reconciler", "SRV").pack())
    answer(packet[:at] + noise + packet[at + len(noise) :], CATALOG, udp=True)


# --- on sockets ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with answering("127.0.0.1:0", lambda packet, udp: answer(packet, CATALOG, udp=udp)) as address:
        yield address


@pytest.mark.parametrize("tcp", [False, True])
def test_it_answers_over_udp_and_tcp(server: tuple[str, int], tcp: bool) -> None:
    said = DNSRecord.question("web.service.reconciler").send(*server, tcp=tcp, timeout=10)
    assert sorted(data(DNSRecord.parse(said).rr)) == ["10.0.0.1", "10.0.0.2"]


def test_a_bad_packet_costs_only_its_own_answer(server: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.sendto(b"\xff" * 50, server)
    with socket.create_connection(server) as door:
        door.sendall(b"\x00\x05hello")
        assert door.recv(10) == b""
    assert DNSRecord.question("web.service.reconciler").send(*server, timeout=10)


def test_a_change_is_told_at_once() -> None:
    catalog = filled(web(1))
    with answering("127.0.0.1:0", lambda packet, udp: answer(packet, catalog, udp=udp)) as server:
        publish(catalog, web(2))
        said = DNSRecord.question("web.service.reconciler").send(*server, timeout=10)
    assert data(DNSRecord.parse(said).rr) == ["10.0.0.2"]


def test_an_address_that_is_taken_is_refused(server: tuple[str, int]) -> None:
    with pytest.raises(Refused, match="cannot listen") as refused, answering(f"127.0.0.1:{server[1]}", lambda *_: None):
        pass
    assert "--registry-dns" in refused.value.hint
