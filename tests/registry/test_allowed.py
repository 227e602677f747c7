"""Does the operator alone say which registries are spoken to, and with which tokens?"""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.drivers.consul import ConsulRegistry
from reconciler.errors import Refused
from reconciler.wiring import workplace

URL = "http://127.0.0.1:8500"


def opened(tmp_path: Path, operator: str, url: str = URL) -> ConsulRegistry:
    """The registry at a URL, as the operator's file lets it be opened."""
    (tmp_path / "operator.yaml").write_text(operator)
    place = workplace({"operator": str(tmp_path / "operator.yaml"), "state": str(tmp_path)}, {})
    registry = place.registries()(url)
    assert isinstance(registry, ConsulRegistry)
    return registry


def test_only_what_the_operator_lists_is_spoken_to(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="does not allow the registry") as refused:
        opened(tmp_path, f"credentials: {{consul: {{'{URL}': {{}}}}}}", "http://169.254.169.254")
    assert "credentials.consul" in refused.value.hint


def test_it_gets_its_own_token_and_the_machines_address(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2\n")
    registry = opened(
        tmp_path, f"registry: {{address: 192.0.2.1}}\ncredentials: {{consul: {{'{URL}': {{token_file: {token}}}}}}}"
    )
    assert (registry.token, registry.address) == ("hunter2", "192.0.2.1")
    assert opened(tmp_path, f"credentials: {{consul: {{'{URL}': {{}}}}}}").token == ""


@pytest.mark.parametrize("where", ["token_file: /nowhere/token", "token_env: RECONCILER_NO_SUCH_VARIABLE"])
def test_a_token_that_is_not_to_be_had_is_refused(tmp_path: Path, where: str) -> None:
    with pytest.raises(Refused, match="token"):
        opened(tmp_path, f"credentials: {{consul: {{'{URL}': {{{where}}}}}}}")


def test_the_token_for_registering_comes_from_a_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2\n")
    said = {"registry_token_file": str(token), "state": str(tmp_path)}
    assert workplace(said, {}).registry_token() == "hunter2"
    token.write_text("")
    with pytest.raises(Refused, match="holds none"):
        workplace(said, {}).registry_token()
    assert workplace({"state": str(tmp_path)}, {}).registry_token() == ""
