"""Does a verb understand its words wherever they stand among its options?"""

from __future__ import annotations

import pytest

from reconciler.cli import VERBS, parser_for


@pytest.mark.parametrize("words", ["show shop web -n 3 --json", "show -n 3 shop --json web", "-n 3 --json show shop web"])
def test_words_may_stand_before_between_and_after_options(words: str) -> None:
    said = parser_for("audit").parse_args(["audit", *words.split()])
    assert (said.what, said.words, said.number, said.json) == ("show", ["shop", "web"], 3, True)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("audit", "required: what\n"),
        ("audit frob", "invalid choice: 'frob'"),
        ("logs --nope shop", "unrecognized arguments: --nope"),
        ("plan here there", "unrecognized arguments: there"),
        ("logs -n", "expected one argument"),
    ],
)
def test_what_makes_no_sense_is_refused_with_1(words: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parser_for(words.split()[0]).parse_args(words.split())
    assert left.value.code == 1
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_how_it_is_used(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parser_for(verb).parse_args([verb, "--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: reconciler {verb} ")
