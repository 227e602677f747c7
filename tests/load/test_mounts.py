"""How is a short entry of `volumes` taken apart?"""

from __future__ import annotations

import pytest

from reconciler.load.mounts import parse_mount, target_of


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("/data", ("", "/data", ())),
        ("data:/data", ("data", "/data", ())),
        ("data:/data:ro,z", ("data", "/data", ("ro", "z"))),
        ("${A:-/srv}:/data:ro", ("${A:-/srv}", "/data", ("ro",))),
        ("${A:-${B:-c}}:/data", ("${A:-${B:-c}}", "/data", ())),
        ("a}:/data", ("a}", "/data", ())),
        ("$a:/data", ("$a", "/data", ())),
    ],
)
def test_it_is_split_at_colons_but_not_within_a_variable(text: str, parts: tuple[str, str, tuple[str, ...]]) -> None:
    mount = parse_mount(text)
    assert (mount.source, mount.target, mount.options) == parts
    assert target_of(text) == mount.target


@pytest.mark.parametrize("text", ["data:/b:ro:more", "data::ro", ""])
def test_what_is_no_mount_has_no_target(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_mount(text)
    assert target_of(text) is None
