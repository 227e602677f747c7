"""Until when is a certificate valid? As much of X.509 (RFC 5280, in DER) as it takes to read that."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def expires_at(pem: bytes) -> datetime:
    """Return when the first certificate of a PEM text expires (UTC). Raises ValueError for what is none."""
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate")
    tag, certificate, _ = _element(b64decode(b"".join(found[1].split()), validate=True))
    inner, signed, _ = _element(certificate)
    if (tag, inner) != (_SEQUENCE, _SEQUENCE):
        raise ValueError("no certificate")
    if signed[:1] == bytes([_VERSION]):
        signed = _element(signed)[2]
    for _ in ("serial number", "signature algorithm", "issuer"):
        signed = _element(signed)[2]
    _, validity, _ = _element(signed)
    kind, text, _ = _element(_element(validity)[2])
    return _time(kind, text.decode("ascii"))


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first element, and what follows it."""
    if len(der) < 2:
        raise ValueError("cut off")
    length, begins = der[1], 2
    if length & 0x80:
        begins += length & 0x7F
        length = int.from_bytes(der[2:begins], "big")
    if begins + length > len(der):
        raise ValueError("cut off")
    return der[0], der[begins : begins + length], der[begins + length :]


def _time(kind: int, text: str) -> datetime:
    """Two digits of a year stand for 1950 to 2049."""
    if kind == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif kind != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
