"""Values that schemathesis cannot generate from the schema: pictures, cursors, webhook URLs; see schemathesis.toml."""

import base64
from datetime import UTC, date, datetime
from urllib.parse import urlencode
from uuid import UUID

import schemathesis
from hypothesis import strategies as st

from tests import synthetic

PICTURES = [synthetic.xray_jpeg(seed, size=(160, 120)) for seed in range(3)] + [synthetic.xray_png(size=(160, 120))]


def _cursor(moment: str, row: str, backwards: bool) -> str:
    tokens = {"p": moment, "id": row, **({"r": "1"} if backwards else {})}
    return base64.urlsafe_b64encode(urlencode(tokens).encode()).decode()


def _worklist_cursor(rank: int, seconds: int, row: UUID, backwards: bool) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{rank}_{moment:%Y%m%dT%H%M%S%f}_{row.hex}{'_r' if backwards else ''}"


schemathesis.openapi.media_type("image/jpeg", st.sampled_from(PICTURES), aliases=["image/png"])
schemathesis.openapi.format("image-base64", st.sampled_from([base64.b64encode(one).decode() for one in PICTURES]))
# Dates of birth must be plausible; all other dates are filters, which take any date.
schemathesis.openapi.format("date", st.dates(date(1900, 1, 1), date(2025, 12, 31)).map(str))
# The service under test may connect to this address, and nothing listens there.
schemathesis.openapi.format("webhook-url", st.integers(0, 99).map(lambda number: f"https://127.0.0.1:9/{number}"))
schemathesis.openapi.format(
    "cursor",
    st.builds(
        _cursor, st.datetimes().map(lambda moment: f"{moment.isoformat()}+00:00"), st.uuids().map(str), st.booleans()
    ),
)
schemathesis.openapi.format(
    "worklist-cursor",
    st.builds(_worklist_cursor, st.integers(0, 31), st.integers(0, 2**32), st.uuids(), st.booleans()),
)
