"""Does a loop parse a tree once only, whatever becomes of it?"""

from __future__ import annotations

from memory_place import MemoryPlace

from reconciler.reading import MOST_TREES


def test_asking_again_for_the_same_commit_parses_nothing(place: MemoryPlace) -> None:
    place.push("web:1")
    reconciler = place.reconciler()
    for _ in range(3):
        reconciler.refresh()
    assert place.loads == 1


def test_a_commit_that_changes_no_file_of_ours_is_taken_without_parsing(place: MemoryPlace) -> None:
    place.push("web:1")
    reconciler = place.reconciler()
    reconciler.refresh()
    second = place.push("web:1", "touches nothing")
    reconciler.refresh()
    assert place.loads == 1
    assert reconciler.wanted is not None
    assert reconciler.wanted.revision == second


def test_a_tree_that_was_refused_is_refused_again_without_parsing(place: MemoryPlace) -> None:
    good = place.push("web:1")
    reconciler = place.reconciler()
    reconciler.refresh()
    place.push_files({"compose.yaml": "services: {web: {imagee: web:2}}\n"})
    for _ in range(3):
        reconciler.refresh()
        assert str(reconciler.trouble).startswith('compose.yaml:1:18: unknown key "imagee"')
    assert place.loads == 2
    assert reconciler.wanted is not None
    assert reconciler.wanted.revision == good


def test_a_revert_brings_back_what_was_parsed_before(place: MemoryPlace) -> None:
    reconciler = place.reconciler()
    for image in ("web:1", "web:2", "web:1"):
        place.push(image)
        reconciler.refresh()
    assert place.loads == 2
    assert reconciler.wanted is not None
    assert [service.image for stack in reconciler.wanted.stacks for service in stack.services] == ["web:1"]


def test_the_revision_to_fall_back_to_is_parsed_once_when_a_process_starts(place: MemoryPlace) -> None:
    place.push("web:1")
    first = place.reconciler()
    first.refresh()
    while first.turn().applied != first.world.source.fetch().id:
        place.pass_time(1)
    place.loads = 0
    second = place.reconciler()
    for _ in range(3):
        second.refresh()
    assert place.loads == 1
    assert second.good == second.wanted


def test_only_a_few_trees_are_remembered(place: MemoryPlace) -> None:
    reconciler = place.reconciler()
    for number in range(MOST_TREES + 1):
        place.push(f"web:{number}")
        reconciler.refresh()
    place.push("web:0")
    reconciler.refresh()
    assert place.loads == MOST_TREES + 2
