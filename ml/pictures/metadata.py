"""A file's metadata about its pixels: their orientation, and the meaning of their grey values.

Metadata never decides whether a picture can be read. Damaged metadata is ignored and reported.
"""

import io
import re
import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

#: Largest size, in bytes, of a colour profile or of a text that may contain an orientation.
MAX_BYTES = 2**23
#: A tone curve that changes no grey by more than this share of the range is not applied. The training images were
#: read without their curves. The strongest of those (Apple's Generic Gray Profile, gamma 1.8) changes up to 0.075.
SLIGHT = 0.125
#: A tone curve is damaged if it maps the middle half of its inputs to less than this share of the range.
FLAT = 0.1
ORIENTATION = 0x0112
IN_XMP = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*([1-8])(?!\d)""")
EXIF = "the EXIF block"
#: PNG's gAMA value of sRGB, in hundred-thousandths: the exponent that a display reverses.
SRGB_GAMMA = 45455


@dataclass
class Metadata:
    """The metadata of a picture.

    Attributes:
        orientation: 1 to 8, as in EXIF.
        tone: the grey to show, 0 to 1, for values evenly spaced from black to white; None if values are shown
            unchanged.
        exif: the EXIF block, intact or damaged.
        ignored: names of the damaged parts.
        from_xmp: whether only XMP, which browsers ignore, gives the orientation.
    """

    orientation: int = 1
    tone: NDArray[np.float32] | None = None
    exif: bytes | None = None
    ignored: list[str] = field(default_factory=list)
    from_xmp: bool = False

    def ignore(self, part: str) -> None:
        if part not in self.ignored:
            self.ignored.append(part)

    def read_orientation(self, exif: bytes | None, xmp: bytes | None) -> None:
        """Take the orientation from EXIF or, if EXIF has none, from XMP."""
        self.exif = exif
        orientation = self._from_exif(exif) if exif else None
        if orientation:
            self.orientation = orientation
        elif xmp and (match := IN_XMP.search(xmp)):
            self.orientation, self.from_xmp = int(match[1]), True

    def _from_exif(self, exif: bytes) -> int | None:
        parsed = Image.Exif()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                parsed.load(exif)
                value = parsed.get(ORIENTATION)
        except Exception:  # noqa: BLE001  (Pillow raises any exception for damaged EXIF)
            self.ignore(EXIF)
            value = _orientation_of_damaged(parsed)
        return value if isinstance(value, int) and 1 <= value <= 8 else None

    def read_profile(self, profile: bytes) -> bool:
        """Take the tone curve from an ICC profile.

        Returns:
            Whether the profile can be used.
        """
        if len(profile) > MAX_BYTES:
            self.ignore("the colour profile")
            return False
        try:
            parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = parsed.profile.xcolor_space.strip()
            if space not in ("GRAY", "RGB"):
                return False
            ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[np.newaxis])
            converted = ImageCms.profileToProfile(
                ramp if space == "GRAY" else ramp.convert("RGB"), parsed, ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )  # fmt: skip
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            self.ignore("the colour profile")
            return False
        if converted is not None:
            self._apply(np.asarray(converted.convert("L"), dtype=np.float32)[0] / 255, "the colour profile")
        return True

    def read_gamma(self, gamma: int) -> None:
        """Take the tone curve from PNG's gAMA, in hundred-thousandths."""
        self._apply(np.linspace(0, 1, 65536, dtype=np.float32) ** np.float32(SRGB_GAMMA / max(gamma, 1)), "the gamma")

    def _apply(self, tone: NDArray[np.float32], source: str) -> None:
        if np.ptp(tone[len(tone) // 4 : len(tone) * 3 // 4]) < FLAT:
            self.ignore(source)
        elif np.abs(tone - np.linspace(0, 1, len(tone))).max() > SLIGHT:
            self.tone = tone


def _orientation_of_damaged(parsed: Image.Exif) -> object:
    """Return the orientation from damaged EXIF data, if it is readable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parsed.get(ORIENTATION)
    except Exception:  # noqa: BLE001  (Pillow raises any exception for damaged EXIF)
        return None
