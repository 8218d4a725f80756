"""Checksums of stored rows: damage to a file is told, not analysed."""

from __future__ import annotations

import hashlib
from typing import Any


def row_checksum(*values: Any) -> str:
    """Return 16 hexadecimal digits over texts, numbers and None, in their order."""
    # ASCII, because which characters `repr` escapes depends on the version of Python.
    return bytes_checksum(ascii(values).encode())


def bytes_checksum(content: bytes) -> str:
    """Return 16 hexadecimal digits over bytes."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()
