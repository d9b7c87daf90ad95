"""Names as people and other systems send them: of files, studies and patients."""

import re
from collections.abc import Iterable

from webapp.encodings import clean as clean

#: Characters that some system does not take in the name of a file.
FORBIDDEN = re.compile(r'[\\/:*?"<>|]')
#: The separator of folders in the file names that the page sends.
IN_FOLDER = " \u2013 "
LONGEST = 255
UNNAMED = "unnamed"
#: Files that operating systems, browsers and storage devices leave in folders, in lower case.
LITTER = {
    ".ds_store", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "icon%0d",
    "icon\uf00d", "zone.identifier",
}  # fmt: skip
#: What marks the root of a CD with images, in lower case: DICOM's directory (PS3.10 8.6), and what starts its viewer.
DISC = {"dicomdir", "autorun.inf"}
#: Endings of viewers and what belongs to them, of which those that a folder of a viewer has at least one.
PROGRAMS = {"exe", "dll", "ocx", "jar", "class", "msi", "com", "bat", "cmd", "sh", "so", "dylib", "js", "htm", "html",
            "chm", "hlp", "inf"}  # fmt: skip
BESIDE_IMAGES = PROGRAMS | {
    "ini", "cfg", "conf", "xml", "xsl", "xslt", "dtd", "css", "json", "ico", "icns", "cur", "txt", "rtf", "doc", "pdf",
    "log", "url", "lnk", "md5", "plist", "properties", "jnlp", "manifest", "lic", "cab", "ttf", "woff", "ref",
    "ver", "version",
}  # fmt: skip
#: Names without an ending of what belongs to viewers.
READ_ME = {"readme", "license", "licence", "copying", "version"}
#: Endings of DICOM files, beside none at all and numbers.
DICOM = {"", "dcm", "dicom", "dic", "ima", "img"}
#: The folder of what a browser shows of a CD, as IHE's profile Portable Data for Imaging has it.
WEB = "ihe_pdi"
LITTER_FOLDERS = {
    "__macosx", ".appledouble", ".fseventsd", ".spotlight-v100", ".trashes", "$recycle.bin",
    "system volume information", "@eadir", ".trash", "recycler", "recycled", "#recycle", ".@__thumb", ".@__qini",
    "network trash folder", "temporary items", ".temporaryitems", ".documentrevisions-v100",
}  # fmt: skip
#: The folder of deleted files on a stick, with a user's number.
TRASH = re.compile(r"\.trash-\d+")
#: Hidden files, marks of open documents, and second contents of files on a Windows disk. What begins with a point and
#: ends as a picture, such as ".jpg", is none of them.
PICTURES = r"(?:.*\.)?(?:jpe?g|png|tiff?|bmp|gif|webp|avif|hei[cf]|jp2|j2k|pdf|dcm|dicom)"
LITTER_NAMES = re.compile(
    rf"\.(?!{PICTURES}$).*|\._.*|~\$.*|thumbs\.db:.*|.*(?:[:._\uf03a]|%3a)zone\.identifier(:\$data)?", re.DOTALL
)


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
    if not lower:  # a file without a name is a file
        return False
    *folders, name = lower
    if any(folder in LITTER_FOLDERS or TRASH.fullmatch(folder) for folder in folders):
        return True
    return name in LITTER or LITTER_NAMES.fullmatch(name) is not None


def is_directory(path: str) -> bool:
    """Whether a file is the directory of the DICOM files beside it, which is one itself."""
    return parts(path.lower())[-1:] == ["dicomdir"]


def beside_images(paths: Iterable[str]) -> set[str]:
    """Of some paths those of a CD's directory, its viewers and what belongs to them; none where there is no CD.

    A viewer's folder may hold pictures of its own, so of what lies in one only DICOM files are left.
    """
    split = {path: parts(path.lower()) for path in paths}
    roots = [found[:-1] for found in split.values() if found and found[-1] in DISC]
    on_disc = {
        path: found for path, found in split.items() if found and any(found[: len(root)] == root for root in roots)
    }
    viewers = {tuple(found[:-1]) for found in on_disc.values() if ending(found[-1]) in PROGRAMS} - set(
        map(tuple, roots)
    )
    return {path for path, found in on_disc.items() if _is_beside(found, viewers)}


def _is_beside(found: list[str], viewers: set[tuple[str, ...]]) -> bool:
    *folders, name = found
    of_viewer = WEB in folders or any(tuple(folders[:depth]) in viewers for depth in range(1, len(folders) + 1))
    return (
        name in DISC | READ_ME
        or ending(name) in BESIDE_IMAGES
        or (of_viewer and ending(name) not in DICOM and ending(name).isalpha())
    )


def ending(name: str) -> str:
    """The ending of a file's name in lower case, without its point; empty for none."""
    return name.rpartition(".")[2].lower() if "." in name else ""
