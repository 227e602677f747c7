"""Decide what a plain YAML scalar is, and how Compose writes it as text: go-yaml's rules, not YAML 1.1 or 1.2."""

from __future__ import annotations

import math
import re

from reconciler.load.node import Scalar

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_NUMERIC_START = frozenset("+-0123456789")
# strconv.ParseInt with base 0, after go-yaml dropped every underscore.
_SIGN_INSIDE = re.compile(r"^(0[bo])([+-])([0-7]+)")
_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# Behind a leading dot go-yaml keeps underscores, and Go allows them between digits.
_LEADING_DOT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_CLOCK = r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?"
_ZONE = r"(?:Z|[+-](?:[01][0-9]|2[0-4]):(?:[0-5][0-9]|60))"
_DATE = re.compile(rf"([0-9]{{4}})-([0-9]{{1,2}})-([0-9]{{1,2}})(?:[Tt]{_CLOCK}{_ZONE}| +{_CLOCK})?")
_LEAST, _MOST, _MOST_UNSIGNED = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
# From here on Go's %v writes an exponent; Python's repr does from 1e16.
_GO_EXPONENT_FROM, _PYTHON_EXPONENT_FROM = 1e6, 1e16


def resolve(text: str) -> Scalar:
    """Return what an unquoted scalar means to Compose. A date stays text here: ask `is_date`."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMERIC_START:
        return _number(text.replace("_", ""), text)
    if text[0] == "." and _LEADING_DOT.fullmatch(text):
        return _finite(text, text)
    return text


def is_date(text: str) -> bool:
    """Say whether go-yaml reads this unquoted scalar as a timestamp, which Compose refuses."""
    if len(text) < 8 or text[4] != "-":
        return False
    match = _DATE.fullmatch(text)
    if not match:
        return False
    year, month, day, *clock = (int(part) for part in match.groups() if part)
    return 1 <= month <= 12 and 1 <= day <= _days(year, month) and all(map(int.__le__, clock, (23, 59, 59)))


def resolve_as(tag: str, text: str) -> Scalar:
    """Return a scalar under an explicit standard tag (`str`, `int`, `float`, `bool`, `null`, `binary`).

    Raises ValueError when the text is nothing of that kind.
    """
    if tag == "str":
        return text
    if tag == "binary":
        return _binary(text)
    value = resolve(text)
    if tag == "float" and type(value) is int:
        return float(value)
    if type(value) is not _KINDS[tag]:
        raise ValueError(text)
    return value


def render(value: Scalar) -> str:
    """Return a scalar as Compose writes it where text is wanted: Go's %v, and nothing for null."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return _render_float(value)
        case _:
            return str(value)


_KINDS: dict[str, type] = {"int": int, "float": float, "bool": bool, "null": type(None)}


def _number(plain: str, text: str) -> Scalar:
    # go-yaml reads even `0b-1`, for it hands what follows the prefix to a parser that takes a sign.
    match = _INTEGER.fullmatch(_SIGN_INSIDE.sub(r"\2\1\3", plain, count=1))
    if match:
        integer = _integer(*match.groups())
        if integer is not None:
            return integer
    # "09" is no octal number, and thirty digits are no 64-bit one: both are floats to go-yaml.
    return _finite(plain, text) if _FLOAT.fullmatch(plain) else text


def _integer(sign: str, hexadecimal: str, binary: str, octal: str, decimal: str) -> int | None:
    for digits, base in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)):
        if digits and len(digits) <= 64:
            value = -int(digits, base) if sign == "-" else int(digits, base)
            return value if _LEAST <= value <= (_MOST if sign else _MOST_UNSIGNED) else None
    return None


def _finite(plain: str, text: str) -> Scalar:
    value = float(plain)
    return text if math.isinf(value) else value


def _days(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def _binary(text: str) -> str:
    import base64

    return base64.b64decode(text.replace("\n", ""), validate=True).decode("utf-8")


def _render_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    shortest = repr(value).removesuffix(".0")
    if not _GO_EXPONENT_FROM <= abs(value) < _PYTHON_EXPONENT_FROM:
        return shortest
    sign, digits = ("-", shortest[1:]) if value < 0 else ("", shortest)
    whole, _, fraction = digits.partition(".")
    mantissa = f"{whole[0]}.{whole[1:]}{fraction}".rstrip("0").rstrip(".")
    return f"{sign}{mantissa}e+{len(whole) - 1:02d}"
