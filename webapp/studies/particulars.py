"""What an upload says of an image besides its file: in the form's fields, or in a manifest."""

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
        """These, and the other's where one is not given."""
        return Particulars(
            self.patient or other.patient,
            other.age if self.age is None else self.age,
            self.sex or other.sex,
            self.view or other.view,
            self.comment or other.comment,
        )

    def as_json(self) -> dict[str, Any]:
        """What is given, and nothing of the rest."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> Self:
        return cls(**(value or {}))
