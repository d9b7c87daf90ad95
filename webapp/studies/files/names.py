"""Names as people and other systems send them: of files, studies and patients."""

import re
import unicodedata

#: Formatting characters that reverse the text direction, which can disguise a name as another.
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: Control characters and halves of characters (surrogates), which no database takes.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
SURROGATES = re.compile("[\ud800-\udfff]")
#: Characters that some system does not take in the name of a file.
FORBIDDEN = re.compile(r'[\\/:*?"<>|]')
LONGEST = 255
UNNAMED = "unnamed"
#: Files that operating systems, browsers and storage devices leave in folders, in lower case.
LITTER = {
    ".ds_store", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "icon%0d", "zone.identifier",
}  # fmt: skip
LITTER_FOLDERS = {
    "__macosx", ".appledouble", ".fseventsd", ".spotlight-v100", ".trashes", "$recycle.bin",
    "system volume information", "@eadir",
}  # fmt: skip


def clean(text: str) -> str:
    """A name as it is stored: in the form NFC, without control characters and characters that reverse the direction."""
    visible = BIDI.sub("", CONTROLS.sub(" ", text))
    return unicodedata.normalize("NFC", SURROGATES.sub("\ufffd", visible)).strip()


def download(name: str, ending: str) -> str:
    """A user's name for something as a file name that is valid on any system."""
    return (FORBIDDEN.sub("-", clean(name))[:100].strip(" .") or UNNAMED) + ending


def filename(name: str) -> str:
    """A file's name as it is stored: never empty; of a long one the end, with the format."""
    cleaned = clean(name) or UNNAMED
    return cleaned if len(cleaned) <= LONGEST else f"…{cleaned[1 - LONGEST :]}"


def parts(path: str) -> list[str]:
    """The parts of a path of any system, without those that lead elsewhere: roots, drives, ``.`` and ``..``."""
    found = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return found[1:] if found and re.fullmatch("[A-Za-z]:", found[0]) else found


def is_litter(path: str) -> bool:
    """Whether an operating system made a file beside those that people see."""
    lower = [part.lower() for part in parts(path)]
    if not lower:
        return True
    *folders, name = lower
    return (
        not LITTER_FOLDERS.isdisjoint(folders)
        or name in LITTER
        or name.startswith(".")
        or name.endswith((":zone.identifier", ".zone.identifier", "_zone.identifier", "\uf03azone.identifier"))
    )
