"""Does the machine write `adopt` where a person would, and leave everything else as it is?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.drivers.memory.repository import MemoryFiles
from reconciler.errors import Refused
from reconciler.load.adopting import Adoption, adoption
from reconciler.load.loading import LoadSettings, load
from reconciler.model.source import Revision

REVISION = Revision("0" * 40, "main", datetime(2026, 1, 1, tzinfo=UTC))
COMPOSE = "services: {web: {image: web:1}}\n"


def adopting(files: dict[str, str], project: str) -> Adoption:
    """Have the only stack of a repository adopt the project; what is written is read back."""
    held = MemoryFiles({path: text.encode() for path, text in files.items()})
    found = adoption(held, load(held, REVISION, LoadSettings("test")).stacks[0], project)
    after = MemoryFiles({**{path: text.encode() for path, text in files.items()}, found.path: found.content})
    stack = load(after, REVISION, LoadSettings("test")).stacks[0]
    assert (stack.project, stack.adopt) == (project, (project,))
    return found


@pytest.mark.parametrize(
    ("before", "project", "after"),
    [
        ("  shop: {path: shop}  # ours\n", "shop", "  shop: {adopt: [shop], path: shop}  # ours\n"),
        ("  shop: {path: shop}\n", "old-shop", "  shop: {project: old-shop, adopt: [old-shop], path: shop}\n"),
        (
            "  # one\n  shop:\n\n    # two\n    path: shop\n",
            "shop",
            "  # one\n  shop:\n\n    # two\n    adopt: [shop]\n    path: shop\n",
        ),
        ("  shop:\n      path: shop", "x", "  shop:\n      project: x\n      adopt: [x]\n      path: shop"),
        ("  {shop: {\n  path: shop}}\n", "shop", "  {shop: {adopt: [shop], \n  path: shop}}\n"),
        ("  shop: {path: shop}\n", "y", '  shop: {project: "y", adopt: ["y"], path: shop}\n'),
    ],
)
def test_it_is_written_at_the_stack_in_its_style(before: str, project: str, after: str) -> None:
    head = "api: v1\nname: test\nstacks:\n"
    found = adopting({"reconciler.yaml": head + before, "shop/compose.yaml": COMPOSE}, project)
    assert (found.path, found.content.decode()) == ("reconciler.yaml", head + after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"name: shop\n{COMPOSE}", f"name: shop\n{COMPOSE}\nx-reconciler:\n  adopt:\n    - shop\n"),
        (f"name: shop\nx-reconciler: {{}}\n{COMPOSE}", f"name: shop\nx-reconciler: {{adopt: [shop]}}\n{COMPOSE}"),
        (
            f"name: shop\nx-reconciler:\n  heal: off\n{COMPOSE}",
            f"name: shop\nx-reconciler:\n  adopt: [shop]\n  heal: off\n{COMPOSE}",
        ),
    ],
)
def test_without_an_entry_it_is_written_into_the_compose_file(before: str, after: str) -> None:
    found = adopting({"compose.yaml": before}, "shop")
    assert (found.path, found.content.decode()) == ("compose.yaml", after)


ODD = "reconciler.yaml is not written in a form that can be added to"


@pytest.mark.parametrize(
    ("stacks", "why"),
    [
        ("stacks: {shop: {path: shop, adopt: [other]}}", "reconciler.yaml says something of stacks.shop.adopt already"),
        ("stacks: {shop: {path: shop, project: other}}", "reconciler.yaml says something of stacks.shop.project already"),
        ("stacks: {shop: &it {path: shop}, too: {<<: *it, project: too}}", ODD),
    ],
)
def test_what_no_machine_should_touch_is_left_to_a_person(stacks: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        adopting({"reconciler.yaml": f"api: v1\nname: test\n{stacks}\n", "shop/compose.yaml": COMPOSE}, "shop")
    assert "write it yourself: stacks.shop: {" in refused.value.hint


def test_a_compose_file_of_another_name_is_renamed_by_a_person() -> None:
    with pytest.raises(Refused, match="stack shop is project shop, not old") as refused:
        adopting({"compose.yaml": f"name: shop\n{COMPOSE}"}, "old")
    assert "set `name: old` in compose.yaml" in refused.value.hint
