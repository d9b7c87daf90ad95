"""The released model gives a DICOM file the same answer as the PNG of the same picture."""

import io

import numpy as np
import pytest

from ml.bundles.bundle import Bundle
from ml.inference import engines
from ml.pictures import decode
from ml.pictures.preprocess import to_input
from tests import synthetic
from tests.dicom_files import LOSSLESS, LOSSY, coloured, made, stored
from tests.service import bundle

pytestmark = pytest.mark.long


def test_the_probability_is_that_of_the_png() -> None:
    released = Bundle.read(bundle())
    engine, picture = engines.load(released.path), synthetic.xray(5, (400, 320))
    grey, png = np.asarray(picture), io.BytesIO()
    picture.save(png, "PNG")
    files = {"PNG": png.getvalue()}
    for syntax in (*LOSSLESS, *LOSSY):
        bits = 8 if syntax.endswith(".50") else 12
        for photometric, values in (("MONOCHROME1", 255 - grey), ("MONOCHROME2", grey)):
            window = {"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits}
            name = f"{syntax.name}, {photometric}"
            files[name] = made(stored(values, bits), syntax=syntax, bits=bits, photometric=photometric, **window)
    for bits in (8, 10, 14, 16):  # without a window
        files[f"{bits} bits"] = made(stored(grey, bits), bits=bits)
        files[f"{bits} bits signed"] = made(stored(grey, bits, signed=True), bits=bits, signed=True)
    for photometric in ("RGB", "YBR_FULL"):
        files[photometric] = made(coloured(grey, photometric), bits=8, photometric=photometric)
    inputs = np.stack([to_input(decode.open_image(file), released.preprocessing) for file in files.values()])
    # Equal answers do not prove equal pictures if the network is sure of both, so the inputs are compared as well.
    difference = np.abs(inputs.astype(int) - inputs[0]).mean(axis=(1, 2))
    assert {name: value for name, value in zip(files, difference, strict=True) if value > 1} == {}
    found = dict(zip(files, engine.predict(inputs)[:, 1], strict=True))
    lossy = {f"{syntax.name}, {photometric}" for syntax in LOSSY for photometric in ("MONOCHROME1", "MONOCHROME2")}
    # The network is not sure of this picture, so that changes by lossy compression show.
    tolerance = {name: 0.02 if name in lossy else 0.01 for name in files}
    assert {name: value for name, value in found.items() if abs(value - found["PNG"]) > tolerance[name]} == {}
