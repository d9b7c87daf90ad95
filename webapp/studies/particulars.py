"""The details of an image that come with its file, from the fields of a form or from a manifest."""

from dataclasses import asdict, dataclass
from typing import Any, Self

#: The highest age, in years, that is accepted.
OLDEST = 130


@dataclass(frozen=True)
class Particulars:
    """The details of one image. A detail that was not given is empty.

    Attributes:
        patient: the patient's identifier.
        age: the patient's age in years; None if it was not given.
        sex: one of :class:`webapp.studies.choices.Sex`. It is stored with the patient.
        view: one of :class:`webapp.studies.choices.View`.
        comment: a comment in the sender's words.
    """

    patient: str = ""
    age: float | None = None
    sex: str = ""
    view: str = ""
    comment: str = ""

    def over(self, other: "Particulars") -> "Particulars":
        """Return these details, with missing ones taken from the other."""
        return Particulars(
            self.patient or other.patient,
            other.age if self.age is None else self.age,
            self.sex or other.sex,
            self.view or other.view,
            self.comment or other.comment,
        )

    def as_json(self) -> dict[str, Any]:
        """Return only the details that were given."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> Self:
        return cls(**(value or {}))
