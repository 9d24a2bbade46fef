"""Figures as PNG, for TensorBoard, which shows no SVG: the intervals of the answer, and a table of scores as a heat map."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from xdist.report.answer import GroupDifference
from xdist.report.curves import axis
from xdist.report.naming import name_of
from xdist.report.numbers import signed
from xdist.report.page import scale
from xdist.report.scores import ScoreTable

LINE = 22
NAME, PLOT, RIGHT = 260, 420, 110
INK, SOFT, PAPER = (29, 28, 26), (150, 145, 136), (252, 251, 248)
LOW, MIDDLE, HIGH = np.array([245, 240, 223]), np.array([98, 179, 166]), np.array([17, 60, 107])  # those of report.css


def forest(rows: Sequence[GroupDifference]) -> bytes:
    """A line per condition below the name of its group: interval, mark (filled: shown) and difference."""
    count = sum(1 + len(row.differences) for row in rows) + 2
    image, draw, font = _canvas(NAME + PLOT + RIGHT, count * LINE)
    scaled = axis(rows)

    def x(value: float) -> float:
        return NAME + PLOT * scaled.at(value) / 100

    for tick in scaled.ticks:
        place = NAME + PLOT * tick.at / 100
        draw.line((place, 0, place, (count - 2) * LINE), fill=INK if tick.text == "0" else (226, 221, 210))
        draw.text((place, (count - 2) * LINE + 4), tick.text, INK, font, anchor="ma")
    y = 0
    for row in rows:
        draw.text((8, y + 4), row.name, INK, font, stroke_width=0.4)
        y += LINE
        for one in row.differences:
            middle = y + LINE / 2
            draw.text((20, y + 4), one.condition, INK, font)
            draw.line((x(one.interval.low), middle, x(one.interval.high), middle), fill=INK, width=2)
            draw.circle((x(one.interval.difference), middle), 5, INK if one.shown else PAPER, INK, 2)
            draw.text((NAME + PLOT + RIGHT - 8, y + 4), signed(one.interval.difference), INK, font, anchor="ra")
            y += LINE
    return _png(image)


def heat_map(scores: ScoreTable) -> bytes:
    """A row per language from least to most pre-training text, a column per task and condition."""
    wide = 120
    image, draw, font = _canvas(NAME // 2 + wide * len(scores.columns), (len(scores.languages) + 3) * LINE)
    scaled = scale(cell.score for column in scores.columns for cell in column.cells.values())
    for number, column in enumerate(scores.columns):
        left = NAME // 2 + wide * number
        draw.text((left + 4, 4), column.task[:18], INK, font)
        draw.text((left + 4, LINE + 2), column.run[:18], SOFT, font)
        for place, code in enumerate(scores.languages, start=2):
            if cell := column.cells.get(code):
                at = scaled.place(cell.score)
                box = (left, place * LINE, left + wide - 2, (place + 1) * LINE - 2)
                draw.rectangle(box, fill=_colour(at))
                ink = (255, 255, 255) if at > 0.6 else (0, 0, 0)
                draw.text((left + wide - 10, place * LINE + 4), f"{cell.score:.1f}", ink, font, anchor="ra")
    for place, code in enumerate(scores.languages, start=2):
        draw.text((8, place * LINE + 4), name_of(code), INK, font)
    return _png(image)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _colour(at: float) -> tuple[int, int, int]:
    low, high, share = (LOW, MIDDLE, 2 * at) if at < 0.5 else (MIDDLE, HIGH, 2 * at - 1)
    red, green, blue = (round(float(value)) for value in low + (high - low) * share)
    return red, green, blue


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    image = Image.new("RGB", (width, height), PAPER)
    return image, ImageDraw.Draw(image), ImageFont.load_default(13)
