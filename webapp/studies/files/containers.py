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
    (b"\x1f\x9d", "a compress file"),
    (b"LZIP", "an lzip file"),
    (b"\x04\x22\x4d\x18", "an LZ4 file"),
    (b"\x60\xea", "an ARJ archive"),
    (b"070701", "a cpio archive"),
    (b"070707", "a cpio archive"),
    (b"!<arch>\n", "an ar archive"),
    (b"xar!", "an XAR archive"),
    (b"ALZ\x01", "an ALZ archive"),
    (b"EGGA", "an EGG archive"),
    (b"MSWIM\0\0\0", "a WIM archive"),
    (b"PK\x07\x08", "one part of a ZIP that was split"),
)
#: Formats whose signature is not at the start of the file: its offset, the signature, and the format's name.
WITHIN = ((7, b"**ACE**", "an ACE archive"), (257, b"ustar", "a TAR archive"))


def name(head: bytes) -> str:
    """Return the name of an archive's format from its first 512 bytes; empty for other files."""
    if head[2:5] in (b"-lh", b"-lz") and head[6:7] == b"-":
        return "an LHA archive"
    places = (*((0, start, kind) for start, kind in STARTS), *WITHIN)
    return next((kind for at, mark, kind in places if head.startswith(mark, at)), "")
