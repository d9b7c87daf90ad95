"""Names of files, studies and patients, as people and other systems send them."""

import re
from collections.abc import Iterable

from webapp.encodings import clean as clean

#: Characters that some operating system does not accept in file names.
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
#: Files that mark the root of a CD with images, in lower case: DICOM's directory (PS3.10 8.6), and the file that starts
#: the viewer program.
DISC = {"dicomdir", "autorun.inf"}
#: File extensions of viewer programs. A folder that has a file with one of these is a viewer's folder. The others of
#: :data:`DISC_ENDINGS` belong to files that come with viewers.
PROGRAMS = {"exe", "dll", "ocx", "jar", "class", "msi", "com", "bat", "cmd", "sh", "so", "dylib", "js", "htm", "html",
            "chm", "hlp", "inf"}  # fmt: skip
DISC_ENDINGS = PROGRAMS | {
    "ini", "cfg", "conf", "xml", "xsl", "xslt", "dtd", "css", "json", "ico", "icns", "cur", "txt", "rtf", "doc", "pdf",
    "log", "url", "lnk", "md5", "plist", "properties", "jnlp", "manifest", "lic", "cab", "ttf", "woff", "ref",
    "ver", "version",
}  # fmt: skip
#: Files without an extension that come with viewers.
READ_ME = {"readme", "license", "licence", "copying", "version"}
#: File extensions of DICOM files. A DICOM file may also have no extension, or a number.
DICOM = {"", "dcm", "dicom", "dic", "ima", "img"}
#: The folder with a CD's web pages, by IHE's profile Portable Data for Imaging.
WEB = "ihe_pdi"
LITTER_FOLDERS = {
    "__macosx", ".appledouble", ".fseventsd", ".spotlight-v100", ".trashes", "$recycle.bin",
    "system volume information", "@eadir", ".trash", "recycler", "recycled", "#recycle", ".@__thumb", ".@__qini",
    "network trash folder", "temporary items", ".temporaryitems", ".documentrevisions-v100",
}  # fmt: skip
#: The folder of deleted files on a USB stick, with a user's number.
TRASH = re.compile(r"\.trash-\d+")
#: Hidden files, lock files of open documents, and alternate data streams of files on a Windows disk. A name that begins
#: with a dot and has the extension of a picture, such as ".jpg", is not hidden.
PICTURES = r"(?:.*\.)?(?:jpe?g|png|tiff?|bmp|gif|webp|avif|hei[cf]|jp2|j2k|pdf|dcm|dicom)"
LITTER_NAMES = re.compile(
    rf"\.(?!{PICTURES}$).*|\._.*|~\$.*|thumbs\.db:.*|.*(?:[:._\uf03a]|%3a)zone\.identifier(:\$data)?", re.DOTALL
)


def download(name: str, ending: str) -> str:
    """Turn a name that a user has given into a file name that is valid on every system."""
    return (FORBIDDEN.sub("-", clean(name))[:100].strip(" .") or UNNAMED) + ending


def filename(name: str) -> str:
    """Return a file's name in the form that is stored. It is never empty. A long name loses its beginning."""
    cleaned = clean(name) or UNNAMED
    return cleaned if len(cleaned) <= LONGEST else f"…{cleaned[1 - LONGEST :]}"


def parts(path: str) -> list[str]:
    """Split a path from any system into its parts, without roots, drives, ``.`` and ``..``."""
    found = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return found[1:] if found and re.fullmatch("[A-Za-z]:", found[0]) else found


def is_litter(path: str) -> bool:
    """Whether a file is one that operating systems create and people do not see."""
    lower = [part.lower() for part in parts(path)]
    if not lower:  # a file without a name may be an image
        return False
    *folders, name = lower
    if any(folder in LITTER_FOLDERS or TRASH.fullmatch(folder) for folder in folders):
        return True
    return name in LITTER or LITTER_NAMES.fullmatch(name) is not None


def is_directory(path: str) -> bool:
    """Whether a file is a DICOM directory. It is a DICOM file itself."""
    return parts(path.lower())[-1:] == ["dicomdir"]


def disc_files(paths: Iterable[str]) -> set[str]:
    """Return the paths of a CD's directory, its viewer programs and their files; none if the paths have no CD.

    A viewer's folder may have pictures of its own, so all its files except DICOM files belong to the viewer.
    """
    parts_by_path = {path: parts(path.lower()) for path in paths}
    roots = [split[:-1] for split in parts_by_path.values() if split and split[-1] in DISC]
    on_disc = {
        path: split
        for path, split in parts_by_path.items()
        if split and any(split[: len(root)] == root for root in roots)
    }
    viewers = {tuple(split[:-1]) for split in on_disc.values() if ending(split[-1]) in PROGRAMS} - set(
        map(tuple, roots)
    )
    return {path for path, split in on_disc.items() if _is_disc_file(split, viewers)}


def _is_disc_file(split: list[str], viewers: set[tuple[str, ...]]) -> bool:
    *folders, name = split
    of_viewer = WEB in folders or any(tuple(folders[:depth]) in viewers for depth in range(1, len(folders) + 1))
    return (
        name in DISC | READ_ME
        or ending(name) in DISC_ENDINGS
        or (of_viewer and ending(name) not in DICOM and ending(name).isalpha())
    )


def ending(name: str) -> str:
    """Return a file name's extension in lower case, without its dot; empty if there is none."""
    return name.rpartition(".")[2].lower() if "." in name else ""
