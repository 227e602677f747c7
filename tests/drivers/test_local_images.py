"""Is an image asked for again only where something may have happened to its name?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import fake_engine, says

from reconciler.drivers.docker.connection import open_connection
from reconciler.drivers.docker.hearing import CONTAINER, IMAGE, News
from reconciler.drivers.docker.images import LocalImages

CONTAINERS_MOVED = News(kinds=frozenset({CONTAINER}), enough=True)
IMAGES_MOVED = News(kinds=frozenset({IMAGE}), enough=True)


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[list[str]]:
    with fake_engine(tmp_path / "engine.sock", json=says({"Id": "sha256:1"})) as asked:
        yield asked


@pytest.mark.parametrize(
    ("followed", "count"),
    [
        ([None, None], 2),
        ([None, CONTAINERS_MOVED, CONTAINERS_MOVED], 1),
        ([None, CONTAINERS_MOVED, IMAGES_MOVED, CONTAINERS_MOVED], 2),
        ([None, CONTAINERS_MOVED, None], 2),
    ],
)
def test_an_image_is_known_until_an_event_or_a_list(
    tmp_path: Path, asked: list[str], followed: list[News | None], count: int
) -> None:
    images = LocalImages(open_connection(f"unix://{tmp_path / 'engine.sock'}", 5))
    for look in followed:
        images.looked(look)
        assert {name: image and image.id for name, image in images.find(["web:1"]).items()} == {"web:1": "sha256:1"}
    assert sum("/images/" in question for question in asked) == count


def test_without_events_every_question_is_asked(tmp_path: Path, asked: list[str]) -> None:
    images = LocalImages(open_connection(f"unix://{tmp_path / 'engine.sock'}", 5))
    images.looked(None)
    images.find(["web:1"])
    images.find(["web:1", "web:2"])
    assert sum("/images/" in question for question in asked) == 3
