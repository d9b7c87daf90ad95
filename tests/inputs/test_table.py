"""The table of cases, tested through the API, the page and `python -m ml predict`."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from ml.bundles.bundle import Bundle
from ml.pictures import xray
from ml.pictures.formats.kinds import kind
from ml.pictures.preprocess import to_input
from tests.inputs.case import Case
from tests.inputs.cases import CASES
from tests.inputs.conftest import PICTURE, Outcome, Sender
from tests.service import bundle
from webapp.studies.files import signatures

pytestmark = pytest.mark.django_db
FileOf = Callable[[Case], bytes]
#: Every sixth case is one of the quick tests.
QUICK = CASES[::6]
#: Codes of decoding's warnings. Others come from the checks of what a picture shows.
DECODING = ("metadata_ignored", "end_missing")
#: Largest difference of the probability, if the picture is the same within this many grey levels.
SAME, ALIKE = 0.02, 2.0


@pytest.mark.parametrize(
    ("entry_point", "case"),
    [
        pytest.param(
            entry_point,
            case,
            id=f"{entry_point}-{case.name}",
            marks=() if entry_point == "through_api" and case in QUICK else pytest.mark.long,
        )
        for entry_point in ("through_api", "through_page", "through_predict")
        for case in CASES
    ],
)
def test_case(case: Case, entry_point: str, file_of: FileOf, request: pytest.FixtureRequest) -> None:
    send: Sender = request.getfixturevalue(entry_point)
    outcome = send(case.name, file_of(case))
    if case.expected.codes:
        assert outcome.code in case.expected.codes
        return
    assert outcome.code is None
    assert tuple(code for code in outcome.warnings if code in DECODING) == case.expected.warnings
    if outcome.probability is not None:
        plain = request.getfixturevalue("predicted")["PNG"].probability
        assert case.expected.within > ALIKE or abs(outcome.probability - plain) <= SAME
    if outcome.input is not None:
        check_prepared(case, file_of(case), outcome)


def check_prepared(case: Case, content: bytes, outcome: Outcome) -> None:
    """Check that the service's input is the command's and close to the plain picture's, and that the page shows it."""
    decoded = xray.load(content)
    spec = Bundle.read(bundle()).preprocessing
    np.testing.assert_array_equal(outcome.input, to_input(decoded, spec))
    plain = to_input(Image.fromarray(PICTURE), spec)
    assert np.abs(outcome.input.astype(float) - plain).mean() <= case.expected.within
    preview = outcome.preview
    assert (preview.format, preview.mode in ("L", "RGB")) == ("JPEG", True), "every browser can show it"
    upright = ImageOps.exif_transpose(preview).convert("L")
    assert upright.size == decoded.size
    assert np.abs(np.asarray(upright, float) - np.asarray(decoded, float)).mean() < 3


@pytest.mark.parametrize(
    "case",
    [case if case in QUICK else pytest.param(case, marks=pytest.mark.long) for case in CASES],
    ids=lambda case: case.name,
)
def test_the_web_process_and_the_decoders_agree_on_the_kind_of_a_file(case: Case, file_of: FileOf) -> None:
    content = file_of(case)
    found = kind(content)
    assert (signatures._kind(content) in signatures.IMAGES) == (found is not None)
    assert found in (None, signatures._kind(content))


def test_no_two_cases_have_the_same_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
