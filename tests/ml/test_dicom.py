"""DICOM files are decoded to the picture that a viewer shows, or refused with a reason."""

import csv
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    RLELossless,
)

from ml.errors import ImageError
from ml.pictures import decode, dicom
from ml.pictures.dicom import files
from ml.pictures.preprocess import Preprocessing, to_input
from tests import synthetic
from tests.conftest import DATA
from tests.dicom_files import LOSSLESS, LOSSY, NATIVE, coloured, made, stored
from webapp.http.codes import FAILURES
from webapp.studies.files import signatures

REAL, SAMPLES = DATA / "dicom", DATA / "dicom_samples.tar.xz"
GREY = np.asarray(synthetic.xray(3, (200, 160)))
#: For each bit depth, the window that shows all its values.
FULL_WINDOW = {bits: {"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits} for bits in (8, 10, 12, 16)}


def shown(content: bytes) -> np.ndarray:
    return np.asarray(decode.open_image(content), dtype=int)


def codes(content: bytes) -> list[str]:
    return [warning["code"] for warning in decode.read(content).warnings]


def difference(content: bytes, expected: np.ndarray = GREY) -> int:
    found = shown(content)
    assert found.shape == expected.shape
    return int(np.abs(found - expected).max())


def _bits(syntax: UID) -> tuple[int, ...]:
    return {"1.2.840.10008.1.2.4.50": (8,), "1.2.840.10008.1.2.4.51": (12,)}.get(str(syntax), (8, 10, 12, 16))


@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY], ids=lambda syntax: syntax.keyword)
def test_each_syntax_photometric_and_depth_shows_the_same_picture(syntax: UID) -> None:
    """However a radiograph is stored, the model's input is that of its PNG."""
    tolerance, grey = (1 if syntax in LOSSLESS else 12), np.ascontiguousarray(GREY[::2, ::2])
    expected = to_input(Image.fromarray(grey), Preprocessing()).astype(int)
    for bits in _bits(syntax):
        for photometric in ("MONOCHROME1", "MONOCHROME2"):
            values = stored(grey if photometric == "MONOCHROME2" else 255 - grey, bits)
            content = made(values, syntax=syntax, bits=bits, photometric=photometric, **FULL_WINDOW[bits])
            assert difference(content, grey) <= tolerance, (bits, photometric)
            model_input = to_input(decode.open_image(content), Preprocessing()).astype(int)
            assert np.abs(model_input - expected).mean() < (0.5 if syntax in LOSSLESS else 1.5), (bits, photometric)
    if syntax in (*NATIVE, RLELossless):
        for photometric in ("RGB", "YBR_FULL"):
            content = made(coloured(grey, photometric), syntax=syntax, bits=8, photometric=photometric)
            assert difference(content, grey) <= 2, photometric


@pytest.mark.parametrize("syntax", [s for s in LOSSLESS if "JPEG" not in s.name], ids=lambda syntax: syntax.keyword)
def test_signed_samples_are_read(syntax: UID) -> None:
    for bits in (8, 12, 16):
        values = stored(GREY, bits, signed=True)
        window = {"WindowCenter": 0, "WindowWidth": 2**bits}
        assert difference(made(values, syntax=syntax, bits=bits, signed=True, **window)) <= 1, bits


@pytest.mark.parametrize("bits", [6, 7, 8])
def test_all_values_of_few_signed_bits_are_shown_without_a_window(bits):
    signed = decode.open_image(made(stored(GREY, bits, signed=True), bits=bits, signed=True))
    assert np.array_equal(np.asarray(signed), np.asarray(decode.open_image(made(stored(GREY, bits), bits=bits))))


def test_a_palette_gives_the_colours() -> None:
    ramp = np.arange(255, -1, -1, dtype="<u2") * 257
    tables = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", ramp.tobytes()))
    }
    content = made(255 - GREY, bits=8, photometric="PALETTE COLOR", **tables)
    assert difference(content) <= 1


def test_planar_and_subsampled_colours_are_read() -> None:
    rgb = coloured(GREY, "RGB")
    planes = np.moveaxis(rgb, -1, 0).tobytes()
    assert difference(made(rgb, bits=8, photometric="RGB", PlanarConfiguration=1, pixels=planes)) == 0
    pairs = np.full((*GREY.shape[:1], GREY.shape[1] // 2, 4), 128, np.uint8)
    pairs[..., :2] = GREY.reshape(GREY.shape[0], -1, 2)
    assert difference(made(rgb, bits=8, photometric="YBR_FULL_422", pixels=pairs.tobytes())) <= 1


def test_windows_follow_the_standard() -> None:
    ramp = np.tile(np.arange(4096, dtype=np.uint16), (64, 1))
    linear = shown(made(ramp, WindowCenter=1000, WindowWidth=201))[0]
    assert (linear[899], linear[900], linear[1000], linear[1100], linear[1099]) == (0, 1, 128, 255, 254)
    exact = shown(made(ramp, WindowCenter=1000, WindowWidth=200, VOILUTFunction="LINEAR_EXACT"))[0]
    assert (exact[900], exact[1000], exact[1100]) == (0, 128, 255)
    sigmoid = shown(made(ramp, WindowCenter=1000, WindowWidth=200, VOILUTFunction="SIGMOID"))[0]
    assert (sigmoid[1000], sigmoid[1050]) == (128, round(255 / (1 + np.exp(-1))))
    rescaled = shown(made(ramp, WindowCenter=1000, WindowWidth=201, RescaleSlope=2, RescaleIntercept=-500))[0]
    assert rescaled[750] == 128
    several = shown(made(ramp, WindowCenter=[1000, 3000], WindowWidth=[201, 201]))[0]
    assert np.array_equal(several, linear), "the first of several windows is used"
    blank_first = shown(made(ramp, WindowCenter=[90_000, 1000], WindowWidth=[201, 201]))[0]
    assert np.array_equal(blank_first, linear), "the first window that shows anything is used"


def lookup(outputs: np.ndarray, first: int = 0, bits: int = 16) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(outputs) % 2**16, first, bits])
    item.add_new("LUTData", "OW", outputs.astype("<u2").tobytes())
    return [item]


def test_lookup_tables_are_applied() -> None:
    ramp = np.tile(np.arange(4096, dtype=np.uint16), (64, 1))
    curve = np.round(65535 * (np.arange(4096) / 4095) ** 2)
    expected = np.rint(curve / 257)
    assert np.abs(shown(made(ramp, VOILUTSequence=lookup(curve)))[0] - expected).max() <= 1
    with_both = made(ramp, VOILUTSequence=lookup(curve), WindowCenter=100, WindowWidth=50)
    assert np.abs(shown(with_both)[0] - expected).max() <= 1, "a table takes precedence over a window"
    modality = made(ramp, ModalityLUTSequence=lookup(curve), WindowCenter=32768, WindowWidth=65536)
    assert np.abs(shown(modality)[0] - expected).max() <= 1
    offset = shown(made(ramp, VOILUTSequence=lookup(curve[:1000], first=1000)))[0]
    assert offset[0] == offset[1000] == 0
    assert offset[1999] == offset[4095] == round(curve[999] / 257)


def test_outliers_do_not_set_the_range_without_a_window() -> None:
    values = 1000 + stored(GREY, 8)
    values[0, :5] = 4095
    found = shown(made(values))[1:]
    scaled = (GREY[1:] - GREY.min()) * 255.0 / (GREY.max() - GREY.min())
    assert np.abs(found - scaled).max() <= 2


def test_padding_shutter_and_collimator_are_excluded() -> None:
    values = stored(GREY, 8) + 100
    values[:20] = 3000
    padded = shown(made(values, PixelPaddingValue=3000, photometric="MONOCHROME1"))
    assert (padded[:20] == 0).all(), "padding is black even if high values are dark"
    assert padded[20:].max() > 250
    edges = {"LeftVerticalEdge": 1, "RightVerticalEdge": 200, "UpperHorizontalEdge": 21, "LowerHorizontalEdge": 160}
    shutter = {f"Shutter{name}": value for name, value in edges.items()}
    shuttered = shown(made(values, ShutterShape="RECTANGULAR", **shutter))
    assert (shuttered[:20] == 0).all()
    assert shuttered[20:].max() > 250, "pixels outside the shutter do not set the range"
    collimator = {f"Collimator{name}": value for name, value in edges.items()}
    collimated = shown(made(values, CollimatorShape="RECTANGULAR", **collimator))
    assert (collimated[:20] == 255).all()
    assert collimated[20:].max() > 250
    circle = shown(made(ShutterShape="CIRCULAR", CenterOfCircularShutter=[80, 100], RadiusOfCircularShutter=40))
    assert circle[79, 99] > 0
    assert (circle[:, :59] == 0).all()
    polygon = shown(made(ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=[1, 1, 1, 200, 160, 200]))
    assert (polygon[150, :100] == 0).all()


def test_an_overlay_in_unused_bits_is_not_shown() -> None:
    values = stored(GREY, 12) | 0x8000
    content = made(values, pixels=values.astype("<u2").tobytes(), **FULL_WINDOW[12])
    assert difference(content) <= 1
    shifted = made(HighBit=15, pixels=(stored(GREY, 12) << 4).astype("<u2").tobytes(), **FULL_WINDOW[12])
    assert difference(shifted) <= 1


def test_monochrome1_and_an_inverse_lut_shape_mean_the_same() -> None:
    inverted = stored(255 - GREY, 12)
    for attributes in (
        {"photometric": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"photometric": "MONOCHROME2", "PresentationLUTShape": "INVERSE"},
        {"photometric": "MONOCHROME1"},
    ):
        assert difference(made(inverted, **attributes, **FULL_WINDOW[12])) <= 1


def test_pixels_that_are_not_square_are_resampled() -> None:
    half = np.ascontiguousarray(GREY[::2])
    assert decode.open_image(made(stored(half, 12), PixelAspectRatio=[2, 1])).size == (200, 160)
    assert decode.open_image(made(ImagerPixelSpacing=[0.1, 0.2])).size == (400, 160)
    assert decode.open_image(made(ImagerPixelSpacing=[0.1, 90])).size == (200, 160)


def test_files_without_preamble_or_meta_information_are_read() -> None:
    whole = made(**FULL_WINDOW[12])
    meta_end = 132 + 12 + int.from_bytes(whole[140:144], "little")
    big = made(syntax=ExplicitVRBigEndian, **FULL_WINDOW[12])
    big_meta_end = 132 + 12 + int.from_bytes(big[140:144], "little")
    for content in (whole[132:], whole[meta_end:], big[big_meta_end:]):
        assert dicom.is_dicom(content)
        assert np.array_equal(shown(content), shown(whole))


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless], ids=lambda syntax: syntax.keyword)
def test_a_bare_data_set_has_the_same_header_as_its_file(syntax: UID) -> None:
    content = made(GREY, syntax=syntax, PatientName="Marked^Name", PatientAge="003Y")
    start = 144 + int.from_bytes(content[140:144], "little")  # after the file meta information, which states its length
    header = files.header(content[start:], syntax)
    assert dicom.attributes_of(header) == dicom.attributes_of(files.parse(content, pixels=False))
    assert "PixelData" not in header


def test_an_unreadable_data_set_is_refused() -> None:
    with pytest.raises(ImageError, match="damaged"):
        files.header(b"no deflated data set", DeflatedExplicitVRLittleEndian)


def test_wrong_representations_and_lengths_are_read_if_that_is_safe() -> None:
    whole = made(**FULL_WINDOW[12])
    rows = whole.index(b"\x28\0\x10\0US")
    strange = whole[: rows + 4] + b"XX" + whole[rows + 6 :]
    assert np.array_equal(shown(strange), shown(whole))
    longer = made(pixels=stored(GREY, 12).astype("<u2").tobytes() + bytes(1000), **FULL_WINDOW[12])
    assert difference(longer) <= 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (made()[:3000], "image_truncated"),
        (made(pixels=bytes(1000)), "image_truncated"),
        (made(PixelData=None), "dicom_without_pixels"),
        (made(Modality="CT", SOPClassUID=CTImageStorage), "dicom_not_a_radiograph"),
        (made(Modality="XC"), "dicom_not_a_radiograph"),
        (made(NumberOfFrames=3), "several_pictures"),
        (made(np.zeros((20, 20))), "image_too_small"),
        (made(syntax=MPEG2MPML, pixels=encapsulate([b"no such pixels"])), "encoding_not_supported"),
        (made(syntax=JPEG2000Lossless, pixels=encapsulate([b"no such pixels"])), "image_corrupt"),
        (made(syntax=RLELossless, pixels=encapsulate([bytes(64)])), "image_corrupt"),
        (made(Rows=40_000, Columns=40_000), "image_too_large"),
        (made(Columns=0), "image_corrupt"),
        (made(BitsAllocated=7), "encoding_not_supported"),
        (made(BitsAllocated=32), "encoding_not_supported"),
        (made(BitsStored=17), "image_corrupt"),
        (made().replace(b"1.2.840.10008.1.2.1\0", b"1.2.826.0.1.3680043\0"), "encoding_not_supported"),
    ],
)
def test_unreadable_files_are_refused_with_a_code(content: bytes, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode.read(content)
    assert caught.value.code == code
    assert code in FAILURES
    assert caught.value.detail.endswith(".")


@pytest.mark.parametrize(
    ("attributes", "warned"),
    [
        ({}, False),
        ({"BodyPartExamined": "CHEST", "ViewPosition": "PA"}, False),
        ({"BodyPartExamined": "CHESTABDOMEN"}, False),
        ({"BodyPartExamined": "OGK"}, False),
        ({"ViewPosition": "LL"}, False),
        ({"BodyPartExamined": "KNEE"}, True),
        ({"BodyPartExamined": "CSPINE"}, True),
        ({"ViewPosition": "RAO"}, True),
        ({"ViewPosition": "LLD"}, True),
    ],
)
def test_attributes_that_rule_out_a_frontal_chest_give_a_warning(attributes: dict[str, str], warned: bool) -> None:
    assert codes(made(**attributes)) == ["not_frontal_chest"] * warned


def test_the_web_process_recognises_the_same_files() -> None:
    whole = made()
    files = [
        whole,
        whole[132:],
        whole[400:],
        b"",
        bytes(2000),
        synthetic.xray_jpeg(1, (80, 80)),
        synthetic.xray_png(1, (80, 80)),
        b"\2\0",
    ]
    files += [b"\x08\0\x05\0CS\x0a\0ISO_IR 100\x08\0\x08\0CS\4\0ABCD" + bytes(20), b"\x08\0\x05\0" * 200]
    assert [dicom.is_dicom(file) for file in files] == [signatures.is_dicom(file[:1024]) for file in files]
    assert dicom.is_dicom(files[-2])
    assert not dicom.is_dicom(files[-1])


@pytest.mark.parametrize("name", ["cr_chest_pa_monochrome1_j2k", "cr_chest_rsna_jpeg", "cr_extremity_not_chest_j2k"])
def test_real_files_from_other_hospitals_are_read(name: str) -> None:
    path = REAL / f"{name}.dcm"
    if not path.exists():
        pytest.skip(f"{path} is missing; set XRAY_DATA to the folder that contains dicom/")
    content = path.read_bytes()
    header = dicom.parse(content, pixels=False)
    image = decode.open_image(content)
    assert image.size == (header.Columns, header.Rows)
    assert np.asarray(image).std() > 20
    assert codes(content) == ["not_frontal_chest"] * ("extremity" in name)
    assert (dicom.attributes_of(header)["age"] or 0) > 20


@pytest.mark.long
def test_files_of_public_test_suites_have_the_outcome_listed_in_their_index() -> None:
    if not SAMPLES.exists():
        pytest.skip(f"{SAMPLES} is missing; set XRAY_DATA to its folder")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(SAMPLES) as archive:
            archive.extractall(folder, filter="data")
        rows = list(csv.DictReader((Path(folder) / "index.csv").open()))
        expected = np.asarray(Image.open(Path(folder) / "made_chest_variants" / "expected.png"), dtype=float)
        assert len(rows) == 327
        for row in rows:
            _check_sample(row, (Path(folder) / row["file"]).read_bytes(), expected)


#: Variants of one chest that cannot be decoded, with the code of each.
REFUSED_VARIANTS = {
    "encapsulated_pdf": "dicom_without_pixels", "no_pixel_data": "dicom_without_pixels",
    "multiframe_2": "several_pictures", "private_transfer_syntax": "encoding_not_supported",
    "zero_columns": "image_corrupt",
}  # fmt: skip


def _check_sample(row: dict[str, str], content: bytes, expected: np.ndarray) -> None:
    try:
        decoded, code = decode.read(content), ""
    except ImageError as error:
        decoded, code = None, error.code
    name = Path(row["file"]).stem
    if row["file"].startswith("made_chest_variants/"):
        assert code == REFUSED_VARIANTS.get(name, ""), row
        if decoded and name not in ("dx_for_processing", "aspect_ratio_2_1"):  # the first has no window
            assert np.abs(np.asarray(decoded.image, dtype=float) - expected).max() <= 2, row
    elif row["what"].startswith("FRONTAL CHEST"):
        assert decoded, row
        assert not decoded.warnings, row
    elif row["what"] == "hip radiograph":
        assert [warning["code"] for warning in decoded.warnings] == ["not_frontal_chest"], row
    elif decoded:
        assert row["modality"] in ("CR", "DX", "OT", ""), row
        assert row["photometric"], row
    else:
        assert code in FAILURES, row
