"""Cases of files: damaged around their pixels, cut off, with several pictures, without a picture, hostile."""

import json
import zlib

import imagecodecs
import numpy as np
from PIL import Image

from tests import synthetic
from tests.inputs import builders, tiffs
from tests.inputs.case import END, IGNORED, Case, refused, same
from tests.inputs.containers import CONTAINERS, chunk, encoded, exif, in_jpeg, jpeg, pdf, png, segment, tiff
from tests.inputs.tones import icc, srgb

DAMAGED = [
    Case("damaged EXIF", lambda p: in_jpeg(jpeg(p), segment(0xE1, b"Exif\0\0garbage")), same(IGNORED), "camera"),
    Case("EXIF cut off", lambda p: in_jpeg(jpeg(p), segment(0xE1, exif(1)[:12])), same(IGNORED), "camera"),
    Case(
        "EXIF with an invalid orientation",
        lambda p: in_jpeg(jpeg(p), segment(0xE1, exif(1).replace(b"\1\0\0\0\1\0", b"\1\0\0\0\x63\0"))),
        same(),
        "camera",
    ),
    Case("damaged EXIF in a PNG", lambda p: png(p, chunk(b"eXIf", b"garbage")), same(IGNORED), "camera"),
    Case(
        "damaged EXIF in a WebP",
        lambda p: encoded(Image.fromarray(p).convert("RGB"), "WEBP", lossless=True, exif=b"Exif\0\0no"),
        same(IGNORED),
        "camera",
    ),
    Case(
        "a text of 4 MB, compressed",
        lambda p: png(p, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**22)))),
        same(),
    ),
    Case(
        "an iTXt of 4 MB, compressed",
        lambda p: png(p, chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(2**22)))),
        same(),
    ),
    Case("a profile of 2 MB", lambda p: png(p, icc(srgb() + bytes(2**21))), same(), "camera"),
    Case("a profile of 64 MB", lambda p: png(p, icc(bytes(2**26))), same(IGNORED), "hostile"),
    Case("an invalid profile", lambda p: png(p, icc(b"no profile")), same(IGNORED)),
    Case(
        "an invalid profile, JPEG",
        lambda p: in_jpeg(jpeg(p), segment(0xE2, b"ICC_PROFILE\0\1\1garbage")),
        same(IGNORED),
    ),
    Case(
        "a wrong checksum of a text",
        lambda p: builders.bad_crc(p, b"tEXt", b"Comment\0hello"),
        same(IGNORED),
        "transfer",
    ),
    Case("a wrong checksum of a time", lambda p: builders.bad_crc(p, b"tIME", bytes(7)), same(IGNORED), "transfer"),
    Case(
        "a wrong checksum of a profile",
        lambda p: builders.bad_crc(p, b"iCCP", b"x\0\0" + zlib.compress(srgb())),
        same(IGNORED),
        "transfer",
    ),
    Case("a wrong checksum of intact pixels", lambda p: builders.wrong_data_checksum(p), same(IGNORED), "transfer"),
    Case(
        "a wrong checksum of the header",
        lambda p: png(p).replace(png(p)[29:33], b"\0\0\0\0", 1),
        refused("image_corrupt"),
        "transfer",
    ),
    Case("bytes after the picture", lambda p: png(p) + b"junk" * 1000, same(), "transfer"),
    Case("bytes after the picture, JPEG", lambda p: jpeg(p) + b"junk" * 1000, same(), "camera"),
    Case("line breaks before the picture, JPEG", lambda p: b"\r\n\r\n" + jpeg(p), same(), "web"),
    Case("line breaks before the picture, PNG", lambda p: b"\n" + png(p), same(), "web"),
    Case("a JPEG without its end", lambda p: jpeg(p)[:-2], same(END), "transfer"),
    Case("a progressive JPEG without its end", lambda p: jpeg(p, progressive=True)[:-2], same(END), "transfer"),
    Case("a 12-bit JPEG without its end", lambda p: CONTAINERS["JPEG 12 bits"](p)[:-2], same(END), "PACS"),
    *[
        Case(f"{name} without its end", lambda p, b=CONTAINERS[name]: b(p)[:-2], same(END, within=2.0), "transfer")
        for name in ("JPEG 2000", "JPEG 2000 bare", "JPEG 2000 12 bits")
    ],
    Case("JPEG 2000 of tiles without its end", lambda p: builders.tiled_jpeg2000(p)[:-1], same(END), "transfer"),
    Case(
        "JPEG 2000 whose last tile is missing",
        lambda p: builders.without_last_tile(builders.tiled_jpeg2000(p)),
        refused("image_truncated"),
        "transfer",
    ),
    Case("a PNG without its end", lambda p: png(p)[:-12], same(END), "transfer"),
    *[
        Case(
            f"{name} cut off",
            lambda p, b=CONTAINERS[name]: builders.truncated(b(p)),
            refused("image_truncated", "image_corrupt"),
            "transfer",
        )
        for name in (
            "JPEG",
            "JPEG progressive",
            "PNG",
            "PNG 16 bits RGB",
            "TIFF",
            "TIFF lzw",
            "WebP",
            "AVIF",
            "HEIC",
            "JPEG 2000",
            "JPEG 2000 bare",
            "BMP",
            "GIF",
            "PDF",
            "JPEG 12 bits",
            "JPEG lossless",
            "JPEG-LS",
        )
    ],
    Case(
        "a JPEG cut off, with an end",
        lambda p: builders.truncated(jpeg(p)) + b"\xff\xd9",
        refused("image_truncated"),
        "transfer",
    ),
    Case(
        "a progressive JPEG with only its first scans",
        lambda p: builders.first_scans(jpeg(p, progressive=True)),
        refused("image_truncated"),
        "transfer",
    ),
]

SEVERAL = [
    *[
        Case(f"an animated {form}", lambda p, form=form: builders.animated(p, form), refused("several_pictures"), "web")
        for form in ("GIF", "WEBP", "PNG")
    ],
    Case("a TIFF of two pages", lambda p: tiff(np.stack([p, 255 - p])), refused("several_pictures"), "scanner"),
    Case("a PDF of two pages", lambda p: pdf(p, pages=2), refused("several_pictures"), "scanner"),
    Case("a PDF of text", lambda p: builders.text_pdf(), refused("pdf_without_picture"), "report"),
    Case("a scan on a larger page", lambda p: builders.scan_pdf(p, margin=20), same(), "scanner"),
    Case(
        "a scan whose white is zero", lambda p: builders.scan_pdf(255 - p, decode=b"/Decode [1 0]"), same(), "scanner"
    ),
    *[
        Case(
            f"TIFF of {name}",
            lambda p, n=number: tiffs.with_compression(p, n),
            refused("encoding_not_supported"),
            "scanner",
        )
        for name, number in (("JBIG", 34661), ("an unknown compression", 12345))
    ],
    Case("a scan of 16 bits", lambda p: builders.scan_pdf(p, bits=16), refused("encoding_not_supported"), "scanner"),
]

REFUSED = [
    Case("an empty file", lambda p: b"", refused("file_empty"), "transfer"),
    Case("a text", lambda p: synthetic.text(), refused("not_an_image"), "other"),
    Case("a web page", lambda p: b"<!DOCTYPE html><title>Error</title>", refused("not_an_image"), "other"),
    Case("JSON", lambda p: json.dumps({"image": None}).encode(), refused("not_an_image"), "other"),
    Case("SVG", lambda p: synthetic.svg(), refused("svg_not_supported", "not_an_image"), "other"),
    Case("JPEG XL", lambda p: imagecodecs.jpegxl_encode(p), refused("format_not_supported"), "other"),
    Case("Photoshop", lambda p: b"8BPS\0\1" + bytes(200), refused("format_not_supported"), "editor"),
    Case(
        "RAR", lambda p: b"Rar!\x1a\x07\x01\0" + bytes(200), refused("archive_not_supported", "not_an_image"), "other"
    ),
    Case("a tiny picture", lambda p: synthetic.tiny_png(), refused("image_too_small"), "web"),
    Case("a line of pixels", lambda p: png(p[:1]), refused("image_too_small"), "web"),
    Case("a row of pixels, TIFF", lambda p: tiff(p[:, :1].copy()), refused("image_too_small"), "web"),
    Case("only a signature, PNG", lambda p: png(p)[:8], refused("image_truncated"), "transfer"),
    Case("only a signature, JPEG", lambda p: b"\xff\xd8\xff\xe0", refused("image_truncated"), "transfer"),
    Case("PNG bomb", lambda p: synthetic.bomb_png(), refused("image_too_large"), "hostile"),
    Case("TIFF bomb", lambda p: tiffs.tiff_bomb(), refused("image_too_large"), "hostile"),
    Case(
        "TIFF bomb within the limit of pixels",
        lambda p: tiffs.tiff_bomb(9_990),
        refused("image_truncated", "image_too_large"),
        "hostile",
    ),
    Case("TIFF with a list of widths", lambda p: tiffs.list_of_widths(p), refused("image_corrupt"), "hostile"),
    Case(
        "BMP bomb",
        lambda p: builders.resized(encoded(Image.fromarray(p), "BMP"), 18, "<2i", 30_000, 30_000),
        refused("image_too_large"),
        "hostile",
    ),
    Case(
        "GIF bomb",
        lambda p: builders.resized(encoded(Image.fromarray(p), "GIF"), 6, "<2H", 60_000, 60_000),
        refused("image_too_large"),
        "hostile",
    ),
    Case("JPEG bomb", lambda p: builders.jpeg_bomb(60_000), refused("image_too_large"), "hostile"),
    Case("JPEG 2000 bomb", builders.jpeg2000_bomb, refused("image_too_large"), "hostile"),
    Case(
        "PDF bomb",
        lambda p: builders.scan_pdf(p).replace(b"/Width %d" % p.shape[1], b"/Width 60000"),
        refused("image_too_large"),
        "hostile",
    ),
    Case("lossless JPEG bomb", lambda p: builders.lossless_bomb(p), refused("image_too_large"), "hostile"),
]
