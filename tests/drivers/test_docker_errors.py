"""Does every refusal of the engine reach the one who acts, in words that help and hold no secret?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.docker.errors import LONGEST_MESSAGE, Rejected, one_line, ours
from reconciler.drivers.docker.wording import doing, hidden
from reconciler.errors import Conflict, ReconcilerError, Refused, Unreachable
from reconciler.model.desired import Hook, Network
from reconciler.model.plan import (
    Change,
    ConnectNetwork,
    CreateInstance,
    CreateNetwork,
    CreateVolume,
    DisconnectNetwork,
    PullImage,
    RemoveNetwork,
    RunHook,
    StartInstance,
    Target,
)


@pytest.mark.parametrize(
    ("status", "text", "kind", "hint"),
    [
        (400, "invalid reference format", Refused, ""),
        (403, "error while removing network: network x id abc has active endpoints", Refused, "attached"),
        (403, "endpoint with name web-1 already exists in network x", Conflict, ""),
        (403, "container abc is not connected to network x", Conflict, ""),
        (404, "No such container: web-1", Conflict, ""),
        (404, "No such image: local/nothing:1", Refused, "pull the image"),
        (404, "manifest for web:9 not found: manifest unknown: manifest unknown", Refused, ""),
        (404, "pull access denied for web, repository does not exist or may require 'docker login': denied", Refused, "login"),
        (404, "network x not found", Conflict, ""),
        (409, 'Conflict. The container name "/web-1" is already in use by container "abc".', Conflict, ""),
        (409, "removal of container abc is already in progress", Conflict, ""),
        (409, "remove x: volume is in use - [abc]", Refused, "mount"),
        (409, "create x: conflict: volume name must be unique", Refused, "made otherwise"),
        (409, "network with name x already exists", Conflict, ""),
        (500, "driver failed: Bind for 0.0.0.0:80 failed: port is already allocated", Refused, "host port"),
        (500, "mkdir /var/lib/docker/x: no space left on device", Refused, "free space"),
        (500, "container rootfs is marked read-only", Refused, "volume"),
        (500, "Get https://r.example/v2/: net/http: request canceled (Client.Timeout exceeded)", Unreachable, ""),
        (500, "Get https://r.example/v2/: dial tcp: lookup r.example: no such host", Unreachable, ""),
        (500, "toomanyrequests: You have reached your pull rate limit", Unreachable, "limits pulls"),
        (500, "Get https://r.example/v2/web: unauthorized: authentication required", Refused, "docker login"),
        (500, "oci runtime error", Refused, ""),
        (503, "this node is not a swarm manager", Unreachable, ""),
        (418, "", Refused, ""),
    ],
)  # fmt: skip
def test_a_refusal_is_sorted_by_who_acts(status: int, text: str, kind: type[ReconcilerError], hint: str) -> None:
    error = ours(Rejected(status, text), "do it")
    assert type(error) is kind
    assert hint in error.hint
    assert str(error).startswith("do it: ")
    assert str(error) != "do it: "


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Get https://anna:geheim@r.example/v2/: denied", "Get https://***@r.example/v2/: denied"),
        ("one\ntwo\r\n\tthree", "one two three"),
        ("\x1b[31mred\x07", "[31mred"),
        ("safe\u202etext", "safe text"),
        ("invalid variable: hunter22", "invalid variable: ***"),
    ],
)
def test_a_message_is_one_line_without_secrets(text: str, shown: str) -> None:
    assert one_line(text, ["hunter22", "a", ""]) == shown


def test_a_secret_that_holds_another_goes_as_a_whole() -> None:
    assert one_line("abcdefgh", ["abcd", "abcdefgh"]) == "***"


@given(st.text(), st.lists(st.text(min_size=4, alphabet="abcdé§0"), max_size=3))
def test_no_message_is_long_or_holds_what_is_hidden(text: str, secrets: list[str]) -> None:
    shown = one_line(text + "".join(secrets), secrets)
    assert len(shown) <= LONGEST_MESSAGE
    assert shown == shown.strip()
    assert shown.isprintable() or not shown.isascii()
    assert not [secret for secret in secrets if secret in shown]


WEB = Target("shop-web-1", "abc")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (StartInstance(WEB), "start instance shop-web-1"),
        (CreateInstance("shop-web-1", "shop/web", 1, "web:1", {}), "create instance shop-web-1"),
        (CreateNetwork(Network("shop", "shop", "front", "shop_front"), {}), "create network shop_front"),
        (RemoveNetwork("abc", "shop_front"), "remove network shop_front"),
        (ConnectNetwork(WEB, "shop_front", {}), "connect network shop-web-1"),
        (DisconnectNetwork(WEB, "shop_front"), "disconnect network shop-web-1"),
        (CreateVolume("shop_data", {}, {}), "create volume shop_data"),
        (PullImage("web:1"), "pull image web:1"),
    ],
)
def test_a_change_has_a_name_in_messages(change: Change, words: str) -> None:
    assert doing(change) == words


def test_values_of_variables_are_hidden_and_nothing_else() -> None:
    env = ["PASSWORD=hunter2=x", "EMPTY=", "UNSET"]
    assert hidden(CreateInstance("a", "b", 1, "c", {"Env": env, "Cmd": ["x"]})) == ("hunter2=x", "", "")
    assert hidden(RunHook(WEB, Hook(("true",), environment=("A=hunter2",)))) == ("hunter2",)
    assert hidden(StartInstance(WEB)) == ()
