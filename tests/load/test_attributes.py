"""Is the table of attributes whole, and does it answer?"""

from __future__ import annotations

import re
from collections import Counter

from reconciler.load.attributes import TABLE, Merge, Policy, Unique, find
from reconciler.load.forms import Form


def test_no_attribute_has_two_rows() -> None:
    assert Counter(attribute.path for attribute in TABLE).most_common(1)[0][1] == 1


def test_every_row_says_what_readers_of_the_table_need() -> None:
    for attribute in TABLE:
        assert attribute.doc.endswith((".", "…")), attribute
        assert not attribute.api or re.fullmatch(r"1\.\d\d", attribute.api), attribute
        assert attribute.form.kinds or attribute.form.listed or attribute.form.mapped, attribute


def test_every_row_stands_below_one_that_can_hold_it() -> None:
    forms = {attribute.path: attribute.form for attribute in TABLE}
    for attribute in TABLE:
        assert len(attribute.path) == 1 or _holds(forms[attribute.path[:-1]], attribute.path[-1]), attribute


def _holds(form: Form, part: str) -> bool:
    return form.listed if part == "[]" else bool(form.names) if part == "*" else form.record


def test_a_place_in_a_document_finds_its_row() -> None:
    target = find(("services", "web", "ports", 0, "target"))
    assert target is not None
    assert str(target) == "services.*.ports.[].target"
    assert find(("services", "web", "x-mine")) is None
    assert find(("services", "web", "environment", "A")) is None


def test_the_table_names_rules_and_classes_that_are_known_dangers() -> None:
    rows = {str(attribute): attribute for attribute in TABLE}
    assert rows["services.*.privileged"].policy is Policy.REFUSE
    assert rows["services.*.environment"].merge is Merge.SEQUENCE
    assert rows["services.*.ports"].unique is Unique.PORT
    assert rows["services.*.annotations"].api == "1.43"
