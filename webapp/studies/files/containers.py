"""Archives and compressed files other than ZIPs, by their first bytes."""

#: The first bytes of a file, and the name of its format.
STARTS = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an XZ file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"MSCF\0\0\0\0", "a CAB archive"),
    (b"PK\x07\x08", "one part of a ZIP that was split"),
)
TAR_AT, TAR = 257, b"ustar"


def name(head: bytes) -> str:
    """The name of an archive's format, by its first 512 bytes; empty for other files."""
    if head[TAR_AT:].startswith(TAR):
        return "a TAR archive"
    if head[2:5] in (b"-lh", b"-lz") and head[6:7] == b"-":
        return "an LHA archive"
    return next((kind for start, kind in STARTS if head.startswith(start)), "")
