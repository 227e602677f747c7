"""Do exactly those files go back that bring the older version, and nothing that anybody else has said?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.drivers.memory.repository import MemoryFiles
from reconciler.errors import Conflict, Refused
from reconciler.load.loading import load
from reconciler.load.overlay import Overlay
from reconciler.load.restore import Restoration, restored
from reconciler.model.desired import DesiredState
from reconciler.model.source import Revision
from reconciler.ports import Edits, Files, NewFile

REVISION = Revision("a" * 40, "main", datetime(2026, 1, 1, tzinfo=UTC))
BASE = {
    "reconciler.yaml": "api: v1\nname: here\nstacks: {shop: {path: shop}, data: {path: data}}\n",
    "shop/compose.yaml": "services:\n  web: {image: 'web:1', env_file: [web.env]}\n  api: {image: 'api:1'}\n",
    "shop/web.env": "LEVEL=info\n",
    "shop/README.md": "how it was\n",
    "data/compose.yaml": "services: {db: {image: 'db:1', env_file: [../common.env]}}\n",
    "common.env": "ZONE=a\n",
}
WEB_2 = BASE["shop/compose.yaml"].replace("web:1", "web:2")


def files(**changes: str | None) -> MemoryFiles:
    """Return the base with these changes; `__` stands for a slash, `_DOT_` for a dot."""
    paths = {name.replace("__", "/").replace("_DOT_", "."): text for name, text in changes.items()}
    return MemoryFiles({path: text.encode() for path, text in {**BASE, **paths}.items() if text is not None})


def read(files: Files) -> DesiredState:
    return load(files, REVISION)


def back(target: str, old: MemoryFiles, asked: MemoryFiles, head: MemoryFiles | None = None) -> Edits:
    return restored(head or asked, Restoration(target, read(asked), old), read)


def test_only_files_that_differ_and_that_the_stack_reads_go_back() -> None:
    asked = files(shop__compose_DOT_yaml=WEB_2, shop__web_DOT_env="LEVEL=debug\n", shop__README_DOT_md="how it is\n")
    edits = back("shop", files(), asked)
    assert set(edits) == {"shop/compose.yaml", "shop/web.env"}
    assert read(Overlay(asked, edits)) == read(files())


def test_files_that_came_go_and_files_that_went_come_again() -> None:
    moved = WEB_2.replace("web.env", "new.env")
    asked = files(shop__compose_DOT_yaml=moved, shop__web_DOT_env=None, shop__new_DOT_env="LEVEL=debug\n")
    edits = back("shop", files(), asked)
    assert edits["shop/new.env"] is None
    assert edits["shop/web.env"] == NewFile(b"LEVEL=info\n")


def test_the_override_goes_back_with_its_stack() -> None:
    override = "services: {web: {deploy: {replicas: 3}}}\n"
    asked = files(shop__compose_DOT_yaml=WEB_2, overrides__shop_DOT_yaml=override)
    assert back("shop", files(), asked)["overrides/shop.yaml"] is None


def test_what_is_there_already_needs_nothing() -> None:
    assert back("shop", files(), files(shop__compose_DOT_yaml=WEB_2), head=files()) == {}


def test_a_third_version_is_somebodys_last_word() -> None:
    head = files(shop__compose_DOT_yaml=WEB_2.replace("web:2", "web:3"))
    with pytest.raises(Conflict, match="another version of shop by now"):
        back("shop", files(), files(shop__compose_DOT_yaml=WEB_2), head)


def test_commits_elsewhere_are_kept() -> None:
    data = BASE["data/compose.yaml"].replace("db:1", "db:2")
    head = files(shop__compose_DOT_yaml=WEB_2, data__compose_DOT_yaml=data)
    assert set(back("shop", files(), files(shop__compose_DOT_yaml=WEB_2), head)) == {"shop/compose.yaml"}


def test_a_service_goes_back_alone_only_where_its_file_holds_nothing_else_that_is_new() -> None:
    asked = files(shop__compose_DOT_yaml=WEB_2)
    assert set(back("shop/web", files(), asked)) == {"shop/compose.yaml"}
    both = files(shop__compose_DOT_yaml=WEB_2.replace("api:1", "api:2"))
    with pytest.raises(Refused, match="cannot go back alone"):
        back("shop/web", files(), both)


@pytest.mark.parametrize(
    ("needs", "declared"), [("networks: [back]", "networks: {back: {}}"), ("volumes: ['data:/data']", "volumes: {data: {}}")]
)
def test_networks_and_volumes_go_back_with_the_service_that_needs_them(needs: str, declared: str) -> None:
    old = BASE["shop/compose.yaml"].replace("image: 'web:1'", f"image: 'web:1', {needs}") + f"{declared}\n"
    asked = files(shop__compose_DOT_yaml=WEB_2)
    assert set(back("shop/web", files(shop__compose_DOT_yaml=old), asked)) == {"shop/compose.yaml"}


@pytest.mark.parametrize(("other_reads", "alone"), [("../common.env", False), ("own.env", True)])
def test_a_file_beside_the_stack_goes_back_only_where_no_other_stack_reads_it(other_reads: str, *, alone: bool) -> None:
    shop = BASE["shop/compose.yaml"].replace("[web.env]", "[web.env, ../common.env]")
    data = BASE["data/compose.yaml"].replace("../common.env", other_reads)
    same = {"shop__compose_DOT_yaml": shop, "data__compose_DOT_yaml": data, "data__own_DOT_env": "ZONE=c\n"}
    old, asked = files(**same), files(**same, common_DOT_env="ZONE=b\n")
    if alone:
        assert set(back("shop", old, asked)) == {"common.env"}
    else:
        with pytest.raises(Refused, match="cannot go back alone"):
            back("shop", old, asked)


def test_settings_of_the_stack_stay_as_they_are() -> None:
    settings = BASE["reconciler.yaml"].replace("{path: shop}", "{path: shop, sync: manual}")
    asked = files(shop__compose_DOT_yaml=WEB_2, reconciler_DOT_yaml=settings)
    assert set(back("shop", files(), asked)) == {"shop/compose.yaml"}
