"""The check for databases that would not return text as it was stored."""

from types import SimpleNamespace

import pytest

from webapp.ops import encodings


@pytest.mark.parametrize(
    ("vendor", "encoding", "ids"),
    [
        ("sqlite", "", []),
        ("postgresql", "UTF8", []),
        ("postgresql", "SQL_ASCII", ["ops.E1"]),
        ("mysql", "utf8mb4_bin", []),
        ("mysql", "utf8mb4_general_ci", ["ops.W1"]),
        ("mysql", "latin1_swedish_ci", ["ops.E2"]),
    ],
)
def test_the_encoding_of_each_database_is_checked(monkeypatch, vendor, encoding, ids):
    monkeypatch.setattr(encodings, "connections", {"default": SimpleNamespace(vendor=vendor)})
    monkeypatch.setattr(encodings, "_query", lambda alias, question: encoding)
    assert [message.id for message in encodings.check_encoding(databases=["default"])] == ids
    assert encodings.check_encoding(databases=None) == []
