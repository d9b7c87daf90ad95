"""The details of an image besides its file: from the form's fields, or from a manifest."""

from dataclasses import asdict, dataclass
from typing import Any, Self

#: Years that an age may be.
OLDEST = 130


@dataclass(frozen=True)
class Particulars:
    """The description of one image.

    Attributes:
        patient: their identifier; empty where it is not given, as everything here.
        age: in years; None where it is not given.
        sex: one of :class:`webapp.studies.choices.Sex`. It belongs to the patient.
        view: one of :class:`webapp.studies.choices.View`.
        comment: in the sender's words.
    """

    patient: str = ""
    age: float | None = None
    sex: str = ""
    view: str = ""
    comment: str = ""

    def over(self, other: "Particulars") -> "Particulars":
        """These details, with missing ones taken from the other."""
        return Particulars(
            self.patient or other.patient,
            other.age if self.age is None else self.age,
            self.sex or other.sex,
            self.view or other.view,
            self.comment or other.comment,
        )

    def as_json(self) -> dict[str, Any]:
        """Only the details that are given."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> Self:
        return cls(**(value or {}))
