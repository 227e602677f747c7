"""Which key hashes our spec labels? It stands in a file of its own: nothing else in the state directory is secret."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from reconciler.model.history import HashKey

KEY_BYTES = 32


def read_key(path: Path) -> HashKey:
    """Return the key of our spec labels, made once. Its public id is a part of its hash."""
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        secret = b""
    if len(secret) < KEY_BYTES:
        secret = _make_key(path)
    return HashKey(hashlib.sha256(b"id" + secret).hexdigest()[:8], secret)


def _make_key(path: Path) -> bytes:
    """Put a new key in its place whole, or take the one that another process has put there meanwhile."""
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        if path.exists():
            made.replace(path)  # What stands there is no key: a machine that lost power left it.
        else:
            with suppress(FileExistsError):
                path.hardlink_to(made)
        return path.read_bytes()
    finally:
        made.unlink(missing_ok=True)
