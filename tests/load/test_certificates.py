"""Are certificates of routes read, refused where they cannot be read, and spoken of when they expire?"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import main
from reconciler.load.validity import expires_at

REAL = b"""\
-----BEGIN CERTIFICATE-----
MIIBjjCCATOgAwIBAgIUOJGziyKbs6Erhgb0wz523o0rI/AwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLm9yZzAgFw0yNjExMjMyMjA4MzBaGA8y
MTI2MTAzMDIyMDgzMFowGzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLm9yZzBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABOCejKrPjrLD1j8Xm46UvUCutgtuu41pSNIn
g/4OxaMldW0YXS8qnL3rPCHgyiS98IZUxwNxwSkgUExZNyolsWujUzBRMB0GA1Ud
DgQWBBTPofqcdAs8bUSnvK8XMke4FpeIITAfBgNVHSMEGDAWgBTPofqcdAs8bUSn
vK8XMke4FpeIITAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQDh
GgdbJe/5o9JVDaMl00kh8FnjPzasUFEqcxHKQZiONgIhAN6t+M9El25hXqiNJNk9
lUpf1OZHohPGsCkvEss1POWf
-----END CERTIFICATE-----
"""
"""Made by OpenSSL, with a key on the curve P-256, for a hundred years."""

KEY = "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n"
COMPOSE = """\
name: shop
services:
  web:
    image: web:1
    x-route:
      host: shop.example.org
      port: 80
      tls: {certificate: shop.pem, key: shop}
secrets:
  shop: {file: shop.key}
"""


def der(tag: int, *parts: bytes) -> bytes:
    """One element, its length written the way DER wants it."""
    content = b"".join(parts)
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([0x80 | len(length)]) + length) + content


def certificate(until: datetime, issuer: bytes = b"somebody", *, version: bool = True) -> bytes:
    """A certificate as far as its dates, signed by nobody."""
    zulu = f"{until:%Y%m%d%H%M%S}Z"
    later = until.year >= 2050
    ends = der(0x18 if later else 0x17, (zulu if later else zulu[2:]).encode())
    begins = der(0x17, b"500101000000Z")
    head = [der(0xA0, der(0x02, b"\x02"))] if version else []
    body = der(0x30, *head, der(0x02, b"\x07"), der(0x30), der(0x30, issuer), der(0x30, begins, ends), der(0x30))
    text = b64encode(der(0x30, body, der(0x30), der(0x03)))
    return b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n"


def is_read(text: bytes) -> bool:
    try:
        expires_at(text)
    except ValueError:
        return False
    return True


def test_one_that_another_program_made_is_read() -> None:
    assert expires_at(REAL) == datetime(2126, 10, 30, 22, 8, 30, tzinfo=UTC)


@given(
    st.datetimes(datetime(1950, 1, 1), datetime(9999, 12, 31)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC)),
    st.binary(max_size=70_000),
    st.booleans(),
)
def test_the_end_is_found_whatever_stands_before_it(until: datetime, issuer: bytes, version: bool) -> None:
    assert expires_at(b"some words\n" + certificate(until, issuer, version=version) + REAL) == until


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_refused(junk: bytes) -> None:
    text = b"-----BEGIN CERTIFICATE-----\n" + b64encode(junk) + b"\n-----END CERTIFICATE-----\n"
    assert not is_read(text)


def test_every_beginning_of_one_is_refused() -> None:
    whole = certificate(datetime(2030, 1, 1, tzinfo=UTC))
    for length in range(len(whole) - 1):
        assert not is_read(whole[:length])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "shop.key").write_text(KEY)
    return tmp_path


def validate(repository: Path, pem: bytes, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    (repository / "shop.pem").write_bytes(pem)
    code = main(["validate", str(repository), "--state", str(repository / "state")])
    return code, capsys.readouterr().out


def test_a_key_that_only_a_route_names_is_found(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = validate(repository, REAL, capsys)
    assert (code, "1 stack, 1 service" in out) == (0, True)


def test_one_that_has_expired_is_refused_with_its_place(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = validate(repository, certificate(datetime(2020, 1, 31, tzinfo=UTC)), capsys)
    assert code == 1
    assert "error[R214]: the certificate of shop/web expired on 2020-01-31" in out
    assert "compose.yaml:8:13   x-route.tls.certificate" in out
