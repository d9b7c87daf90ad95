"""Recognise the kind of a file by its first bytes."""

import re

#: Number of bytes that are examined.
HEAD = 1024
#: First bytes of the kinds of files that are read.
SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"II*\0", "tiff"), (b"MM\0*", "tiff"), (b"II+\0", "tiff"), (b"MM\0+", "tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"), (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"BM", "bmp"),
)  # fmt: skip
#: First bytes of the kinds of files that are not read, with their names for messages.
UNSUPPORTED = (
    (b"\xff\x0a", "A JPEG XL picture"), (b"\0\0\0\x0cJXL \r\n\x87\n", "A JPEG XL picture"),
    (b"II\xbc\x01", "A JPEG XR picture"), (b"8BPS", "A Photoshop document"), (b"%!PS", "A PostScript document"),
    (b"v/1\x01", "An OpenEXR picture"), (b"#?RADIANCE", "A Radiance picture"), (b"qoif", "A QOI picture"),
    (b"\0\0\1\0", "A Windows icon"), (b"AT&TFORM", "A DjVu document"), (b"NRRD", "An NRRD volume"),
    (b"\x5c\x01\0\0", "A NIfTI volume"), (b"SIMPLE  =", "A FITS picture"), (b"P5", "A PGM picture"),
    (b"P6", "A PPM picture"), (b"P4", "A PBM picture"), (b"gimp xcf", "A GIMP picture"),
    (b"P2\n", "A PGM picture"), (b"P3\n", "A PPM picture"), (b"P1\n", "A PBM picture"), (b"P7\n", "A PAM picture"),
    (b"\x8aMNG", "An MNG animation"), (b"\x8bJNG", "A JNG picture"),
    (b"\x89HDF\r\n", "An HDF5 file"), (b"\x93NUMPY", "A NumPy array"), (b"MATLAB ", "A MATLAB file"),
    (b"ObjectType", "A MetaImage volume"), (b"Pf\n", "A PFM picture"), (b"PF\n", "A PFM picture"),
    (b"IIRO", "A camera's raw picture"), (b"IIU\0", "A camera's raw picture"), (b"icns", "A Mac icon"),
    (b"\xd7\xcd\xc6\x9a", "A Windows metafile"), (b"\xc5\xd0\xd3\xc6", "A PostScript document"),
    (b"BPG\xfb", "A BPG picture"), (b"FLIF", "A FLIF picture"), (b"DDS ", "A DDS picture"),
    # Line ends changed by a transfer, bytes that a program treated as characters, and text encodings of files.
    *((start, "A picture that was sent as text instead of bytes") for start in (
        b"\x89PNG\n\x1a\n", b"\x89PNG\r\r\n", b"\xef\xbf\xbdPNG", b"\xc2\x89PNG", b"\xef\xbf\xbd" * 3,
        b"\xc3\xbf\xc3\x98\xc3\xbf", b"data:image/", b"/9j/", b"iVBORw0KGgo",
        b"=89PNG", b"ffd8ff", b"FFD8FF", b"89504e47", b"89504E47", b"begin 644 ",
    )),
)  # fmt: skip
BRANDS = {b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic", b"heim": "heic", b"heis": "heic",
          b"hevc": "heic", b"hevx": "heic", b"mif1": "heic"}  # fmt: skip
#: A signature after text that some programs write before it, such as line ends, HTTP headers and printer commands.
#: Other bytes before a signature mean that the file is of another kind, such as an archive that contains the picture.
MISPLACED = re.compile(rb"(?:\xef\xbb\xbf)?[\t\r\n\x1b -~]*?(\x89PNG\r\n\x1a\n|%PDF-|\xff\xd8\xff[\xe0\xe1])")
NAMES = {b"\x89PNG\r\n\x1a\n": "png", b"%PDF-": "pdf"}


def kind(content: bytes) -> str | None:
    """``jpeg``, ``png``, ``tiff``, ``bmp``, ``gif``, ``webp``, ``avif``, ``heic``, ``jpeg2000``, ``pdf`` or None."""
    head = content[:HEAD]
    if found := next((name for signature, name in SIGNATURES if head.startswith(signature)), None):
        return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        length = max(16, int.from_bytes(head[:4]))
        brands = (head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4)))
        # Any kind of picture may have the brand mif1. An AVIF also has its own brand, which sorts first.
        return min((BRANDS[brand] for brand in brands if brand in BRANDS), default=None)
    late = MISPLACED.match(head)
    return NAMES.get(late[1], "jpeg") if late else None


def unsupported_format(content: bytes) -> str | None:
    """Name of a known but unsupported format, for messages; None for other files."""
    return next((name for signature, name in UNSUPPORTED if content.startswith(signature)), None)
