"""Does whoever applies again after a crash get what Git asks for, and nothing else? A sample of `make test-crash`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing

import docker
import pytest
from contestants import Ours
from operations import OPERATIONS, Operation
from points import Lane, Point, lane, play

# Each one has at least so many calls that change something.
CALLS = 6
SAMPLE = tuple(
    (operation, Point(chance.randint(1, CALLS), chance.choice(("before", "after")), chance.random() < 0.3))
    for chance in [random.Random(42)]
    for operation in OPERATIONS
)


@pytest.fixture(scope="module")
def place(engine: docker.APIClient, busybox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with lane("crash-sample", tmp_path_factory.mktemp("crash")) as place:
        yield place


@pytest.mark.parametrize(("operation", "point"), SAMPLE, ids=[f"{operation.name}, {point}" for operation, point in SAMPLE])
def test_whoever_applies_after_a_crash_gets_what_git_asks_for(operation: Operation, point: Point, place: Lane) -> None:
    with closing(Ours(place, operation)) as contestant:
        assert play(contestant, place, operation, point) == ()
