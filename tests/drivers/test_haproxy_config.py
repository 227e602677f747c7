"""Which config does HAProxy get, and what do its answers mean? Without HAProxy."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.haproxy import statistics
from reconciler.drivers.haproxy.render import certificate_files, digest_in, render, trial
from reconciler.errors import Refused, Unreachable
from reconciler.model.traffic import (
    Admission,
    Backend,
    Certificate,
    Check,
    Layer,
    Listener,
    ObservedServer,
    Route,
    TrafficConfig,
)

WEB = Backend("shop.web.80", "shop/web", 80, Layer.L7, "/healthz")
ADMIN = Backend("shop.admin.8080", "shop/admin", 8080, Layer.L7)
DATABASE = Backend("shop.db.5432", "shop/db", 5432, proxy_protocol=True)


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines of each frontend and backend, without indentation."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(("frontend ", "backend ")):
            found[" ".join(line.split()[:2])] = lines = []
        elif line.startswith("    ") and found:
            lines.append(line.strip())
    return found


def test_a_layer_4_port_passes_connections_on() -> None:
    config = TrafficConfig((Listener("127.0.0.1", 5432, backend=DATABASE.name),), (DATABASE,))
    assert sections(render(config)) == {
        "frontend 127.0.0.1:5432": ["bind 127.0.0.1:5432", "default_backend shop.db.5432"],
        "backend shop.db.5432": [],
    }


@pytest.mark.parametrize(
    ("address", "ipv6", "bind"),
    [
        ("", True, "bind :::80 v4v6"),
        ("", False, "bind 0.0.0.0:80"),
        ("10.1.2.3", True, "bind 10.1.2.3:80"),
        ("::1", True, "bind [::1]:80"),
    ],
)
def test_a_listener_binds_where_it_says(address: str, ipv6: bool, bind: str) -> None:
    listener = Listener(address, 80)
    assert sections(render(TrafficConfig((listener,)), ipv6=ipv6))[f"frontend {listener.name}"][0] == bind
    assert bind in trial([listener], ipv6=ipv6)


def test_the_more_precise_host_wins_and_then_the_longer_path() -> None:
    routes = (
        Route("", "", "any"),
        Route("*.example.org", "/api", "wild"),
        Route("www.example.org", "", "www"),
        Route("WWW.example.org", "/api/", "api"),
        Route("www.example.org", "/api/v2", "v2"),
    )
    lines = sections(render(TrafficConfig((Listener("", 80, Layer.L7, routes=routes),))))["frontend any:80"]
    host, wild = "{ var(txn.host) -m str 'www.example.org' }", r"{ var(txn.host) -m reg '^[^.]+\.example\.org$' }"
    assert [line for line in lines if line.startswith("use_backend")] == [
        f"use_backend v2 if {host} {{ path -m str '/api/v2' }} or {host} {{ path -m beg '/api/v2/' }}",
        f"use_backend api if {host} {{ path -m str '/api' }} or {host} {{ path -m beg '/api/' }}",
        f"use_backend www if {host}",
        f"use_backend wild if {wild} {{ path -m str '/api' }} or {wild} {{ path -m beg '/api/' }}",
        "use_backend any if TRUE",
    ]


def test_certificates_are_read_from_the_volume_and_clients_told_so() -> None:
    listener = Listener("", 443, Layer.L7, WEB.name, certificates=("a-1", "b-2"))
    text = render(TrafficConfig((listener,), (WEB,), (Certificate("a-1", b"secret"), Certificate("b-2", b"secret"))))
    lines = sections(text)["frontend any:443"]
    assert lines[0] == "bind :::443 v4v6 ssl crt /gateway/a-1.pem crt /gateway/b-2.pem alpn h2,http/1.1"
    assert "http-request set-header X-Forwarded-Proto https" in lines
    assert certificate_files(text) == ("a-1.pem", "b-2.pem")
    assert "secret" not in text


def test_a_check_asks_for_a_host_that_the_service_is_called_by() -> None:
    listener = Listener("", 80, Layer.L7, routes=(Route("*.b.org", "", WEB.name), Route("a.org", "", WEB.name)))
    found = sections(render(TrafficConfig((listener,), (WEB, ADMIN))))
    assert "http-check send meth GET uri '/healthz' ver HTTP/1.1 hdr Host 'a.org'" in found["backend shop.web.80"]
    assert found["backend shop.admin.8080"] == []


def test_a_server_keeps_its_weight_over_a_reload_and_one_that_drains_gets_nothing() -> None:
    check = "check inter 2s fastinter 1s downinter 250ms rise 2 fall 3 send-proxy-v2 check-send-proxy"
    servers = [
        ObservedServer(DATABASE.name, "c", "10.0.0.3", 5432, 4, Admission.MAINT),
        ObservedServer(DATABASE.name, "b", "10.0.0.2", 5432, 4, Admission.DRAIN),
        ObservedServer(DATABASE.name, "a", "10.0.0.1", 5432, 4),
        ObservedServer("another", "d", "10.0.0.4", 5432, 4),
    ]
    assert sections(render(TrafficConfig(backends=(DATABASE,)), servers))["backend shop.db.5432"] == [
        f"server a 10.0.0.1:5432 weight 4 {check}",
        f"server b 10.0.0.2:5432 weight 0 {check}",
        f"server c 10.0.0.3:5432 weight 4 {check} disabled",
    ]


def test_a_written_config_is_known_by_its_digest_unless_somebody_edits_it() -> None:
    config = TrafficConfig((Listener("", 80),))
    text = render(config)
    assert digest_in(text) == config.digest
    assert digest_in(text + "# mine\n") == ""
    assert digest_in("global\n") == digest_in("") == ""


@pytest.mark.parametrize(
    "config",
    [
        TrafficConfig((Listener("", 80, backend="a b"),)),
        TrafficConfig((Listener("", 80, Layer.L7, certificates=("../x",)),)),
        TrafficConfig((Listener("example.org", 80),)),
        TrafficConfig((Listener("", 80, Layer.L7, routes=(Route("a.org", "/a b", "web"),)),)),
        TrafficConfig((Listener("", 80, Layer.L7, routes=(Route("a.org\n    bind :22", "", "web"),)),)),
        TrafficConfig(backends=(Backend("web", "web", 80, Layer.L7, "/\x00"),)),
    ],
)
def test_what_could_be_more_than_one_word_is_refused(config: TrafficConfig) -> None:
    with pytest.raises(Refused):
        render(config)


def test_quotes_and_dollars_in_a_path_mean_nothing_to_haproxy() -> None:
    listener = Listener("", 80, Layer.L7, routes=(Route("", "/it's/$HOME", "web"),))
    assert r"{ path -m str '/it'\''s/$HOME' }" in render(TrafficConfig((listener,)))


STATISTICS = "pxname,svname,qcur,scur,stot,bin,bout,econ,eresp,wretr,wredis,cli_abrt,srv_abrt,status,check_status,"
STATISTICS += "check_code,check_desc,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,addr,rtime,uweight,"


def answer(status: str, check: str, admin: int = 0) -> str:
    server = f"web,abc,2,3,40,5,6,7,8,9,10,11,12,{status},{check},200,Layer7 check passed,1,2,3,4,5,10.0.0.1:80,17,50,"
    states = f"1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n3 web 1 abc 10.0.0.1 2 {admin}\n"
    frontend = "any:80,FRONTEND,,1,2,30" + "," * 20
    return f"Name: HAProxy\nVersion: 2.6.12\nPid: 17\ndescription: d1\n\n# {STATISTICS}\n{frontend}\n{server}\n\n{states}\n"


@pytest.mark.parametrize(
    ("status", "last", "found"),
    [
        ("UP", "L7OK", Check.UP),
        ("UP 1/2", "L7STS", Check.UP),
        ("UP", "* L7OK", Check.UP),
        ("DRAIN", "L4OK", Check.UP),
        ("DOWN", "L4CON", Check.DOWN),
        ("DOWN 1/2", "* L4CON", Check.DOWN),
        ("DOWN 1/2", "L7OK", Check.PENDING),
        ("DOWN", "INI", Check.PENDING),
        ("UP", "INI", Check.PENDING),
        ("MAINT", "L7OK", Check.PENDING),
    ],
)
def test_a_server_is_up_only_after_its_checks(status: str, last: str, found: Check) -> None:
    (server,) = statistics.worker(answer(status, last)).servers
    assert server.check is found


@pytest.mark.parametrize(
    ("bits", "said"),
    [(0, Admission.READY), (8, Admission.DRAIN), (1, Admission.MAINT), (4, Admission.MAINT), (9, Admission.MAINT)],
)
def test_a_server_that_is_down_and_drains_is_seen_to_drain(bits: int, said: Admission) -> None:
    (server,) = statistics.worker(answer("DOWN", "L4CON", bits)).servers
    assert server.admission is said


def test_what_the_worker_says_is_read() -> None:
    worker = statistics.worker(answer("UP", "L7OK"))
    (server,) = worker.servers
    assert (worker.pid, worker.version, worker.description, worker.listeners) == (17, "2.6.12", "d1", ("any:80",))
    assert (server.backend, server.name, server.address, server.port, server.weight) == ("web", "abc", "10.0.0.1", 80, 50)
    assert (server.in_flight, server.queued, server.response_ms, server.said) == (3, 2, 17, "Layer7 check passed 200")
    assert worker.totals == {"any:80": {"sessions": 2, "bytes_in": 30}}
    assert (server.totals["sessions"], server.totals["5xx"], server.totals["connect_errors"]) == (40, 5, 7)


@given(st.data())
def test_an_answer_that_is_damaged_is_read_or_is_none(data: st.DataObject) -> None:
    said = answer("UP", "L7OK")
    begin, end = sorted((data.draw(st.integers(0, len(said))), data.draw(st.integers(0, len(said)))))
    damaged = said[:begin] + data.draw(st.text("0az,# :\n-", max_size=20)) + said[end:]
    for read in (statistics.worker, statistics.servers, statistics.processes):
        with suppress(Unreachable):
            read(damaged)


def test_what_older_workers_have_in_flight_is_counted() -> None:
    now, idle = ObservedServer("web", "a", "10.0.0.1", 80, 5, in_flight=1), ObservedServer("web", "b", "10.0.0.2", 80, 5)
    gone = ObservedServer("x", "b", "10.0.0.3", 80, 5, in_flight=4)
    older = (replace(now, in_flight=2), idle, gone)
    found = statistics.merged((now,), older)
    assert [(one.backend, one.name, one.in_flight, one.admission) for one in found] == [
        ("web", "a", 3, Admission.READY),
        ("x", "b", 4, Admission.DRAIN),
    ]


def test_silence_is_not_taken_for_an_answer() -> None:
    for said in ("", "\n", "Unknown command"):
        with pytest.raises(Unreachable):
            statistics.worker(said)
        with pytest.raises(Unreachable):
            statistics.processes(said)
        assert statistics.servers(said) == ()


def test_every_process_of_the_gateway_is_found() -> None:
    said = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
1               master          2 [failed: 1]   0d00h00m56s     3.2.26-1
# workers
22              worker          0               0d00h00m24s     3.2.26-1
# old workers
19              worker          1               0d00h00m24s     3.2.26-1
# programs

"""
    assert statistics.processes(said) == statistics.Processes((22, 19), 1)
