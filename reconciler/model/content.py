"""When is a file in a container the one that was asked for?"""

from __future__ import annotations

import hashlib


def content_digest(content: bytes, mode: int, uid: int, gid: int) -> str:
    """Return the SHA-256, in hex, of a delivered file: its permission bits, owner and bytes.

    Planner and driver both call it, so equal digests mean that nothing needs to be delivered again.
    """
    digest = hashlib.sha256(file_header(mode, uid, gid))
    digest.update(content)
    return digest.hexdigest()


def file_header(mode: int, uid: int, gid: int) -> bytes:
    """Return what precedes the file's bytes in its digest, for those who hash a stream."""
    return f"{mode & 0o7777:04o} {uid} {gid}\n".encode()
