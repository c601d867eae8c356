"""What a file is that should be UTF-8 text and is not: told by its first bytes, with what to do about it.

Owns the guesses. Who reads text says where it failed.
"""

from __future__ import annotations

_SIGNATURES = (
    (b"\xff\xfe\x00\x00", "it is UTF-32: convert it with `iconv -f utf-32 -t utf-8`"),
    (b"\x00\x00\xfe\xff", "it is UTF-32: convert it with `iconv -f utf-32 -t utf-8`"),
    (b"\xff\xfe", "it is UTF-16: convert it with `iconv -f utf-16 -t utf-8`"),
    (b"\xfe\xff", "it is UTF-16: convert it with `iconv -f utf-16 -t utf-8`"),
    (b"\xfd7zXZ\x00", "it is compressed: unpack it with `xz -d`"),
    *((b"BZh%d1AY&SY" % level, "it is compressed: unpack it with `bzip2 -d`") for level in range(1, 10)),
    (b"\x28\xb5\x2f\xfd", "it is compressed: unpack it with `zstd -d`"),
    (b"\x04\x22\x4d\x18", "it is compressed: unpack it with `lz4 -d`"),
    (b"\x1f\x8b", "it is compressed: unpack it with `gzip -d`"),
    (b"7z\xbc\xaf\x27\x1c", "it is an archive: unpack it with `7z x`"),
    (b"PK\x03\x04", "it is an archive, or a document of an office program: unpack it, or save it as plain text"),
    (b"Rar!\x1a\x07", "it is an archive: unpack it with `unrar x`"),
    (b"%PDF", "it is a PDF: save its text as plain text in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "it is a document of an office program: save it as plain text in UTF-8"),
)
"""Longer signatures first: that of UTF-32 begins with that of UTF-16."""


def other_form_hint(content: bytes) -> str | None:
    """What to do with a file that is no UTF-8 text by its first bytes; None where nothing speaks against it.

    Args:
        content: its beginning, a line or more.
    """
    for signature, hint in _SIGNATURES:
        if content.startswith(signature):
            return hint
    # Text in an alphabet of fewer than 256 characters has every other byte 0 in UTF-16.
    head = content[:1000]
    for start, name in ((0, "utf-16be"), (1, "utf-16le")):
        if len(head) > 3 and head[start::2].count(0) > 0.4 * len(head) / 2 and not head[1 - start :: 2].count(0):
            return f"it is UTF-16: convert it with `iconv -f {name} -t utf-8`"
    return None


def not_utf8_hint(content: bytes) -> str:
    """As `other_form_hint`, of a file that turned out not to be UTF-8."""
    hint = other_form_hint(content)
    if hint is None and b"\x00" in content[:1000]:
        hint = "it is not text: pass a text file in UTF-8"
    return hint or "convert it first, such as with `iconv -f latin1 -t utf-8`"
