"""Draw a report on one A4 page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file
from typing import TYPE_CHECKING, cast

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from webapp.dashboard.report.contents import NOT_A_DIAGNOSIS, PURPOSE, Contents
from webapp.paper import FONT, LACKING, printable

if TYPE_CHECKING:
    from fpdf import FPDF
    from fpdf.fonts import TTFFont
    from PIL.Image import Image as Picture

MARGIN, WIDTH, HEIGHT = 14.0, 210.0, 297.0
#: Width of the column of pictures, and of the gap to the column of text, in millimetres.
PICTURES, GAP = 82.0, 8.0
WORDS = WIDTH - 2 * MARGIN - PICTURES - GAP
TOP, BOTTOM = 42.0, HEIGHT - 34.0
TALLEST = 100.0
POINT = 0.3528
#: The colours of light pages in tokens.css.
INK, MUTED, LINE = (20, 35, 43), (82, 101, 111), (213, 222, 226)
TONES = {"positive": (168, 55, 26), "negative": (24, 105, 74), "unclear": (122, 75, 0)}
MAP = _(
    "Orange: the parts that raised the model's score most, with a line around the strongest. Look there first. "
    "Orange outside the lungs is a reason to distrust the answer."
)


@dataclass(frozen=True)
class Block:
    """Text of one size, and the space above it."""

    text: str
    size: float = 9.0
    above: float = 1.5
    colour: tuple[int, int, int] = INK
    strong: bool = False


def draw(contents: Contents, pictures: Sequence["Picture"]) -> bytes:
    """Draw a report.

    Args:
        contents: the report's text.
        pictures: the X-ray and, if the report shows it, the X-ray with its map.
    """
    # Imported here, because few requests need it and it takes a second.
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.set_auto_page_break(auto=False)
    with as_file(FONT) as path:
        pdf.add_font("Noto", fname=path)
        if _has_devanagari(contents):
            # Devanagari letters need shaping. Latin letters do not, and their text can be copied better without it.
            pdf.set_text_shaping(use_shaping_engine=True, script="deva")
        pdf.set_title(f"{contents.answer} – {contents.filename}")
        pdf.set_lang(get_language() or "en")
        pdf.set_creator("PneumoQueue")
        pdf.add_page()
        pdf.c_margin = 0
        _head(pdf, contents)
        _pictures(pdf, pictures, with_map=contents.shows_map)
        letters = cast("TTFFont", pdf.fonts["noto"]).cmap
        blocks = [replace(block, text=printable(block.text, letters)) for block in _blocks(contents)]
        if any(LACKING in block.text for block in blocks):
            blocks.append(
                Block(
                    gettext("%(sign)s stands for a letter that is not in this report's font.") % {"sign": LACKING},
                    7.5,
                    3,
                    MUTED,
                )
            )
        _write(pdf, _fitting(pdf, blocks))
        _foot(pdf)
        return bytes(pdf.output())


def _has_devanagari(contents: Contents) -> bool:
    words = [contents.answer, contents.filename, *contents.verdicts, *(value for _, value in contents.facts)]
    return any("\u0900" <= letter <= "\u097f" for letter in "".join(words))


def _blocks(contents: Contents) -> list[Block]:
    colour = TONES.get(contents.tone, INK)
    blocks = [Block(contents.answer, 17, 0, colour, strong=True)]
    if contents.score:
        blocks.append(
            Block(gettext("%(score)s model's score for pneumonia") % {"score": contents.score}, 12, 1.5, strong=True)
        )
    blocks += [Block(warning, 9.5, 2, TONES["unclear"], strong=True) for warning in contents.warnings]
    blocks += [Block(text, 9, 2) for text in contents.explained]
    if contents.verdicts:
        blocks.append(Block(gettext("Readers' verdicts"), 9.5, 5, strong=True))
        blocks += [Block(text) for text in contents.verdicts]
    blocks.append(Block(gettext("The image"), 9.5, 5, strong=True))
    return blocks + [Block(f"{name}: {value}", 9, 1.2) for name, value in contents.facts]


def _fitting(pdf: "FPDF", blocks: list[Block]) -> list[Block]:
    """The blocks at the largest size at which they fit into their column."""
    for share in (1.0, 0.9, 0.8, 0.7, 0.6):
        smaller = [replace(block, size=block.size * share, above=block.above * share) for block in blocks]
        if sum(block.above + _cell(pdf, block, measure=True) for block in smaller) <= BOTTOM - TOP:
            break
    return smaller


def _write(pdf: "FPDF", blocks: list[Block]) -> None:
    pdf.set_y(TOP)
    for block in blocks:
        pdf.set_xy(MARGIN + PICTURES + GAP, pdf.get_y() + block.above)
        _cell(pdf, block)


def _cell(pdf: "FPDF", block: Block, width: float = WORDS, *, measure: bool = False) -> float:
    """Write a block at the current position and return its height, or only measure it."""
    from fpdf.enums import Align, TextMode, XPos, YPos

    height = block.size * POINT * 1.35
    pdf.set_font("Noto", size=block.size)
    pdf.set_text_color(*block.colour)
    pdf.set_draw_color(*block.colour)
    pdf.set_line_width(block.size * POINT * 0.03)
    # The font file has only one weight, so strong text gets an outline around each letter.
    pdf.text_mode = TextMode.FILL_STROKE if block.strong else TextMode.FILL
    drawn_height = pdf.multi_cell(
        width, height, block.text, align=Align.L, new_x=XPos.LEFT, new_y=YPos.NEXT, dry_run=measure, output="HEIGHT"
    )
    pdf.text_mode = TextMode.FILL
    return float(drawn_height)  # type: ignore[arg-type]  # fpdf2's types do not tell that this output is a number


def _head(pdf: "FPDF", contents: Contents) -> None:
    pdf.set_xy(MARGIN, 11)
    _cell(pdf, Block(gettext("PneumoQueue: report of a chest X-ray"), 12, strong=True), 110)
    pdf.set_xy(MARGIN, 17.5)
    _cell(pdf, Block(gettext("Made %(moment)s") % {"moment": contents.made}, 8, colour=MUTED), 110)
    pdf.set_fill_color(253, 241, 217)
    pdf.rect(MARGIN, 24, WIDTH - 2 * MARGIN, 11, style="F")
    pdf.set_xy(MARGIN + 3, 26.8)
    _cell(pdf, Block(str(NOT_A_DIAGNOSIS), 9, colour=TONES["unclear"], strong=True), WIDTH - 2 * MARGIN - 6)


def _pictures(pdf: "FPDF", pictures: Sequence["Picture"], *, with_map: bool) -> None:
    words = [gettext("The X-ray as it was sent")]
    if with_map:
        words.append(str(MAP))
    pdf.set_xy(MARGIN, TOP)
    if not pictures:
        _cell(pdf, Block(gettext("The picture is no longer available."), colour=MUTED), PICTURES)
    for picture, text in zip(pictures, words, strict=False):
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=88)
        pixel_width, pixel_height = picture.size
        height = min(PICTURES * pixel_height / pixel_width, TALLEST)
        top = pdf.get_y()
        pdf.image(stream, MARGIN, top, PICTURES, height, keep_aspect_ratio=True, alt_text=text)
        pdf.set_xy(MARGIN, top + height + 1.5)
        _cell(pdf, Block(text, 7.5, colour=MUTED), PICTURES)
        pdf.set_y(pdf.get_y() + 3)


def _foot(pdf: "FPDF") -> None:
    pdf.set_draw_color(*LINE)
    pdf.set_line_width(0.2)
    pdf.line(MARGIN, HEIGHT - 29, WIDTH - MARGIN, HEIGHT - 29)
    pdf.set_xy(MARGIN, HEIGHT - 27)
    _cell(pdf, Block(str(PURPOSE), 8, colour=MUTED), WIDTH - 2 * MARGIN)
