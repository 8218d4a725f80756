"""Draw the demo's pictures and ask questions about them (numpy only: no fonts, no files).

Eight kinds of pictures, 48 x 48 pixels each, in cells of 8 x 8. Every picture is a pure function of
a random generator and a *level* of difficulty: 0 is clean, 1 is washed out, blotched and noisy.
Beside the questions a picture carries one label per cell, from which the vision tower is trained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

COLORS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 225),
    "yellow": (235, 215, 50),
    "purple": (150, 50, 180),
    "orange": (245, 140, 30),
    "cyan": (60, 205, 215),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "heart")
SIGNS = (  # noqa: SIM905 - a list of quoted words is longer
    "stop exit open taxi cafe bank hotel park sale menu shop zoo gym bar food gas ice pizza music "
    "books toilet police school museum"
).split()
#: The fields of a form and the abbreviation printed for each.
FIELDS = {
    "number": "NO",
    "quantity": "QT",
    "tax": "TX",
    "price": "PR",
    "date": "DT",
    "amount": "AM",
    "year": "YR",
    "weight": "WT",
}

# Seven rows of five pixels per character, each row a two-digit hexadecimal number.
_FONT = """
A0E11111F111111 B1E11111E11111E C0E11101010110E D1E11111111111E E1F10101E10101F F1F10101E101010
G0E11101713110F H1111111F111111 I0E04040404040E J0702020202120C K11121418141211 L1010101010101F
M111B1515111111 N11191513111111 O0E11111111110E P1E11111E101010 Q0E11111115120D R1E11111E141211
S0F10100E01011E T1F040404040404 U1111111111110E V11111111110A04 W11111115151B11 X11110A040A1111
Y11110A04040404 Z1F01020408101F 00E11131519110E 1040C040404040E 20E11010204081F 31F02040201110E
402060A121F0202 51F101E0101110E 60608101E11110E 71F010204080808 80E11110E11110E 90E11110F01020C
:00040400040400
"""


def _glyph(code: str) -> np.ndarray:
    rows = [int(code[2 * row : 2 * row + 2], 16) for row in range(7)]
    return np.array([[row >> (4 - column) & 1 for column in range(5)] for row in rows], bool)


GLYPHS = {entry[0]: _glyph(entry[1:]) for entry in _FONT.split()}


def _mask(shape: str, size: int) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size]
    u, v = (x + 0.5) / size * 2 - 1, (y + 0.5) / size * 2 - 1
    radius = np.hypot(u, v)
    if shape == "star":
        # Distance of the outline of a five-pointed star, by the angle to its nearest tip.
        half = np.pi / 5
        angle = half - abs(np.arctan2(u, -v) % (2 * half) - half)
        inner = 0.42
        slope = (1 - inner * np.cos(half)) / np.sin(half)
        return np.asarray(radius <= 0.98 * inner / (np.cos(angle) * inner + np.sin(angle) * slope))
    heart_height = -v * 1.2 + 0.15 - 0.6 * np.sqrt(abs(u))
    return np.asarray(
        {
            "circle": radius <= 0.98,
            "square": (abs(u) <= 0.85) & (abs(v) <= 0.85),
            "triangle": (v >= -0.9) & (v <= 0.9) & (abs(u) <= (v + 0.9) / 1.8),
            "cross": (abs(u) <= 0.32) | (abs(v) <= 0.32),
            "ring": (radius <= 0.98) & (radius >= 0.55),
            "diamond": abs(u) + abs(v) <= 1,
            "heart": (u * 1.15) ** 2 + heart_height**2 <= 0.85,
        }[shape]
    )


#: Pixels of each shape at each size: (size, size), bool.
MASKS = {(shape, size): _mask(shape, size) for shape in SHAPES for size in range(11, 16)}


class Flag(NamedTuple):
    """A flag of stripes and what one ought to know about its country."""

    horizontal: bool
    stripes: tuple[str, ...]
    capital: str
    continent: str
    money: str


_FLAG_TABLE = """
france      | vertical   | blue white red         | paris      | europe  | euro
italy       | vertical   | green white red        | rome       | europe  | euro
ireland     | vertical   | green white orange     | dublin     | europe  | euro
belgium     | vertical   | black yellow red       | brussels   | europe  | euro
romania     | vertical   | blue yellow red        | bucharest  | europe  | leu
mali        | vertical   | green yellow red       | bamako     | africa  | franc
guinea      | vertical   | red yellow green       | conakry    | africa  | franc
nigeria     | vertical   | green white green      | abuja      | africa  | naira
peru        | vertical   | red white red          | lima       | america | sol
germany     | horizontal | black red yellow       | berlin     | europe  | euro
russia      | horizontal | white blue red         | moscow     | europe  | ruble
netherlands | horizontal | red white blue         | amsterdam  | europe  | euro
austria     | horizontal | red white red          | vienna     | europe  | euro
hungary     | horizontal | red white green        | budapest   | europe  | forint
bulgaria    | horizontal | white green red        | sofia      | europe  | lev
estonia     | horizontal | blue black white       | tallinn    | europe  | euro
lithuania   | horizontal | yellow green red       | vilnius    | europe  | euro
yemen       | horizontal | red white black        | sanaa      | asia    | rial
armenia     | horizontal | red blue orange        | yerevan    | asia    | dram
gabon       | horizontal | green yellow blue      | libreville | africa  | franc
poland      | horizontal | white red              | warsaw     | europe  | zloty
ukraine     | horizontal | blue yellow            | kyiv       | europe  | hryvnia
indonesia   | horizontal | red white              | jakarta    | asia    | rupiah
colombia    | horizontal | yellow yellow blue red | bogota     | america | peso
"""


def _read_flags() -> dict[str, Flag]:
    flags = {}
    for line in _FLAG_TABLE.strip().splitlines():
        name, way, stripes, capital, continent, money = (cell.strip() for cell in line.split("|"))
        flags[name] = Flag(way == "horizontal", tuple(stripes.split()), capital, continent, money)
    return flags


FLAGS = _read_flags()


Item = TypeVar("Item")

SIDE = 48
CELL = 8
GRID = SIDE // CELL
COLOR_NAMES = list(COLORS)
SHAPE_NAMES = list(SHAPES)
FLAG_NAMES = list(FLAGS)
GLYPH_NAMES = list(GLYPHS)
CODE_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
DIGITS = [str(digit) for digit in range(10)]

#: The layers of labels a picture has per cell; 0 always means "nothing of this sort here".
LABELS = {"shape": SHAPE_NAMES, "color": COLOR_NAMES, "glyph": GLYPH_NAMES, "flag": FLAG_NAMES}


@dataclass(frozen=True)
class Question:
    """One question about a picture.

    `choices` is only filled for multiple choice, where `answer` is a letter. `alternatives` are
    wrong answers of the right kind: what a careless annotator might have said.
    """

    text: str
    answer: str
    choices: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        """The text a model is shown: the question, then lettered options if there are any."""
        options = [
            f"{letter}) {choice}" for letter, choice in zip("ABC", self.choices, strict=False)
        ]
        return " ".join([self.text, *options])


@dataclass
class Drawing:
    """A drawing in progress: pixels (48, 48, 3) as floats 0..255, cell labels (4, 6, 6)."""

    rng: np.random.Generator
    level: float
    pixels: np.ndarray = field(default_factory=lambda: np.zeros((SIDE, SIDE, 3)))
    labels: np.ndarray = field(default_factory=lambda: np.zeros((4, GRID, GRID), np.int64))
    questions: list[Question] = field(default_factory=list)

    def fill_background(self, grain: float = 8.0) -> None:
        """Paint a dark ground of one random hue."""
        base = self.rng.integers(15, 60, 3)
        self.pixels = base[None, None] + self.rng.normal(0, grain, self.pixels.shape)

    def paint(self, color: str | tuple[int, int, int]) -> np.ndarray:
        """A color as it comes out of the pot: a bit off, the more so the higher the level."""
        target = np.array(COLORS[color] if isinstance(color, str) else color, float)
        return target + self.rng.normal(0, 8 + 20 * self.level, 3)

    def place_shape(self, shape: str, color: str, row: int, column: int) -> None:
        """Draw a shape of random size somewhere in a block of 2 x 2 cells; row, column in 0..2."""
        size = int(self.rng.integers(11, 16))
        y = row * 16 + int(self.rng.integers(0, 16 - size + 1))
        x = column * 16 + int(self.rng.integers(0, 16 - size + 1))
        self.pixels[y : y + size, x : x + size][MASKS[shape, size]] = self.paint(color)
        cells = (slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
        self.labels[0][cells] = SHAPE_NAMES.index(shape) + 1
        self.labels[1][cells] = COLOR_NAMES.index(color) + 1

    def write(self, text: str, row: int, column: int, color: np.ndarray) -> None:
        """Write a line of text, one glyph per cell, slightly shifted as a whole."""
        down, right = int(self.rng.integers(0, 2)), int(self.rng.integers(0, 3))
        for place, character in enumerate(text, start=column):
            y, x = row * CELL + down, place * CELL + right
            self.pixels[y : y + 7, x : x + 5][GLYPHS[character]] = color
            self.labels[:2, row, place] = 0
            self.labels[2, row, place] = GLYPH_NAMES.index(character) + 1

    def degrade(self) -> None:
        """Take contrast away and add blotches and grain, all in proportion to the level."""
        middle = self.pixels.mean()
        contrast = 1 / (1 + 1.2 * self.level)
        blotches = self.rng.normal(0, 30 * self.level + 1e-9, (SIDE // 4, SIDE // 4, 3))
        grain = self.rng.normal(0, 50 * self.level + 1e-9, self.pixels.shape)
        blotches = blotches.repeat(4, axis=0).repeat(4, axis=1)
        self.pixels = middle + contrast * (self.pixels - middle) + blotches + grain

    def bytes(self) -> np.ndarray:
        """The pixels as they are stored: (48, 48, 3), uint8."""
        stored: np.ndarray = np.clip(self.pixels, 0, 255).astype(np.uint8)
        return stored


def choose(rng: np.random.Generator, items: Sequence[Item], count: int) -> list[Item]:
    """Draw `count` different items in random order."""
    return [items[i] for i in rng.permutation(len(items))[:count]]


def choose_one(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """Draw one item."""
    return items[int(rng.integers(len(items)))]


def ask(text: str, answer: str, pool: Sequence[str] = ()) -> Question:
    """Make a question whose plausible wrong answers are the rest of `pool`."""
    return Question(text, answer, (), tuple(dict.fromkeys(x for x in pool if x != answer)))


def draw_attributes(picture: Drawing) -> None:
    """Two or three shapes: which color, which shape, is it there?"""
    rng = picture.rng
    picture.fill_background()
    count = int(rng.integers(2, 4))
    shapes, colors = choose(rng, SHAPE_NAMES, count), choose(rng, COLOR_NAMES, count)
    for shape, color, cell in zip(shapes, colors, rng.permutation(9), strict=False):
        picture.place_shape(shape, color, int(cell) // 3, int(cell) % 3)

    def question(sort: int, i: int) -> Question:
        if sort == 0:
            return ask(f"what color is the {shapes[i]} ?", colors[i], COLOR_NAMES)
        if sort == 1:
            return ask(f"what shape is {colors[i]} ?", shapes[i], SHAPE_NAMES)
        if rng.random() < 0.5:
            return ask(f"is there a {colors[i]} {shapes[i]} ?", "yes", ["no"])
        return ask(f"is there a {colors[(i + 1) % count]} {shapes[i]} ?", "no", ["yes"])

    order = rng.permutation(count)
    for n, sort in enumerate(rng.permutation([0, 1, 2, int(rng.integers(2))])):
        picture.questions.append(question(int(sort), int(order[n % count])))


def draw_flag(picture: Drawing) -> None:
    """A flag: to answer, one must know the country."""
    rng = picture.rng
    picture.fill_background(grain=20)
    name = choose_one(rng, FLAG_NAMES)
    flag = FLAGS[name]
    height, width = int(rng.integers(24, 40)), int(rng.integers(30, 46))
    top, left = int(rng.integers(0, SIDE - height + 1)), int(rng.integers(0, SIDE - width + 1))
    rows = slice((top + 4) // CELL, (top + height + 3) // CELL)
    columns = slice((left + 4) // CELL, (left + width + 3) // CELL)
    picture.labels[3, rows, columns] = FLAG_NAMES.index(name) + 1
    count = len(flag.stripes)
    for i, stripe in enumerate(flag.stripes):
        color = picture.paint((20, 20, 20) if stripe == "black" else stripe)
        if flag.horizontal:
            y = (top + height * i // count, top + height * (i + 1) // count)
            picture.pixels[y[0] : y[1], left : left + width] = color
        else:
            x = (left + width * i // count, left + width * (i + 1) // count)
            picture.pixels[top : top + height, x[0] : x[1]] = color
    others = FLAGS.values()
    questions = [
        ask("which country has this flag ?", name, FLAG_NAMES),
        ask("what is the capital of this country ?", flag.capital, [f.capital for f in others]),
        ask("which continent is this country in ?", flag.continent, [f.continent for f in others]),
        ask("what money is used in this country ?", flag.money, [f.money for f in others]),
    ]
    picture.questions = choose(rng, questions, 4)


def draw_signs(picture: Drawing) -> None:
    """Two colored signs with a word each."""
    rng = picture.rng
    picture.fill_background(grain=12)
    words, colors = choose(rng, SIGNS, 2), choose(rng, COLOR_NAMES[:7], 2)
    first = int(rng.integers(0, 3))
    second = int(rng.integers(first + 2, 6))
    for word, color, row in zip(words, colors, (first, second), strict=True):
        left = int(rng.integers(0, GRID - len(word) + 1))
        area = (slice(row * CELL, (row + 1) * CELL), slice(left * CELL, (left + len(word)) * CELL))
        picture.pixels[area] = picture.paint(color)
        ink = 0.0 if color in ("yellow", "cyan", "orange") else 255.0
        picture.write(word.upper(), row, left, np.full(3, ink))
        picture.labels[1, row, left : left + len(word)] = COLOR_NAMES.index(color) + 1
    i, j = int(rng.integers(2)), int(rng.integers(2))
    questions = [
        ask(f"what does the {colors[i]} sign say ?", words[i], SIGNS),
        ask(f"what does the {colors[1 - i]} sign say ?", words[1 - i], SIGNS),
        ask(f"what color is the {words[j]} sign ?", colors[j], COLOR_NAMES[:7]),
    ]
    picture.questions = choose(rng, questions, 3)


def draw_caption(picture: Drawing) -> None:
    """Two shapes, one above or left of the other, to be described."""
    rng = picture.rng
    picture.fill_background()
    shapes, colors = choose(rng, SHAPE_NAMES, 2), choose(rng, COLOR_NAMES, 2)
    near, far = sorted(choose(rng, [0, 1, 2], 2))
    across = int(rng.integers(3))
    vertical = bool(rng.random() < 0.5)
    for shape, color, along in zip(shapes, colors, (near, far), strict=True):
        picture.place_shape(shape, color, *((along, across) if vertical else (across, along)))
    relation = "above" if vertical else "left of"
    text = f"a {colors[0]} {shapes[0]} {relation} a {colors[1]} {shapes[1]}"
    picture.questions = [ask("describe the image .", text)]


def draw_choice(picture: Drawing) -> None:
    """One shape and a question with three lettered options."""
    rng = picture.rng
    picture.fill_background()
    shape, color = choose_one(rng, SHAPE_NAMES), choose_one(rng, COLOR_NAMES)
    cell = int(rng.integers(9))
    picture.place_shape(shape, color, cell // 3, cell % 3)
    sorts = [
        ("which shape is it ?", SHAPE_NAMES, shape),
        ("which color is it ?", COLOR_NAMES, color),
    ]
    for text, pool, answer in choose(rng, sorts, 2):
        place = int(rng.integers(3))
        options = [name for name in choose(rng, pool, 4) if name != answer][:2]
        options.insert(place, answer)
        picture.questions.append(Question(text, "ABC"[place], tuple(options)))


def draw_document(picture: Drawing) -> None:
    """A form: two to four fields with a number each."""
    rng = picture.rng
    picture.pixels = np.full((SIDE, SIDE, 3), 240.0) + rng.normal(0, 5, (SIDE, SIDE, 3))
    count = int(rng.integers(2, 5))
    names = choose(rng, list(FIELDS), count)
    rows = sorted(choose(rng, range(GRID), count))
    values = []
    for _ in names:
        low, high = (100, 1000) if rng.random() < 0.5 else (10, 100)
        values.append(str(int(rng.integers(low, high))))
    for name, value, row in zip(names, values, rows, strict=True):
        picture.write(f"{FIELDS[name]}:{value}", row, 0, np.array((20.0, 20.0, 60.0)))
        if row < GRID - 1 and rng.random() < 0.5:
            picture.pixels[(row + 1) * CELL - 1, :] = 170
    for i in rng.permutation(count):
        picture.questions.append(ask(f"what is the {names[i]} ?", values[i]))


def draw_scene_text(picture: Drawing) -> None:
    """A code of two to four characters in a scene with a shape."""
    rng = picture.rng
    picture.fill_background(grain=10)
    picture.pixels += np.linspace(0, 1, SIDE)[:, None, None] * rng.integers(-15, 40, 3)
    length = int(rng.integers(2, 5))
    code = "".join(choose_one(rng, CODE_CHARACTERS) for _ in range(length))
    row, left = int(rng.integers(0, GRID)), int(rng.integers(0, GRID - length + 1))
    # The shape stands in one of the two thirds of the picture which the text leaves free.
    shape_row = (row // 2 + 1 + int(rng.integers(0, 2))) % 3
    shape, color = choose_one(rng, SHAPE_NAMES), choose_one(rng, COLOR_NAMES)
    picture.place_shape(shape, color, shape_row, int(rng.integers(3)))
    ink = COLORS[choose_one(rng, ["white", "yellow", "cyan"])]
    picture.write(code, row, left, np.array(ink, float))
    picture.questions = [ask("read the text .", code)]


def draw_count(picture: Drawing) -> None:
    """One to nine shapes in two colors, to be counted by color."""
    rng = picture.rng
    picture.fill_background()
    count = int(rng.integers(1, 6))
    total = count + int(rng.integers(0, 3))
    asked, other = choose(rng, COLOR_NAMES, 2)
    for n, cell in enumerate(rng.permutation(9)[:total]):
        color = asked if n < count else other
        picture.place_shape(choose_one(rng, SHAPE_NAMES), color, int(cell) // 3, int(cell) % 3)
    picture.questions = [ask(f"how many {asked} shapes are there ?", str(count))]
    if total > count:
        rest = str(total - count)
        picture.questions.append(ask(f"how many {other} shapes are there ?", rest))


#: All kinds of pictures. The order is part of the training seed: append only.
KINDS: dict[str, Callable[[Drawing], None]] = {
    "attr_vqa": draw_attributes,
    "know_vqa": draw_flag,
    "sign_vqa": draw_signs,
    "caption": draw_caption,
    "mcq": draw_choice,
    "doc_vqa": draw_document,
    "scene_text": draw_scene_text,
    "count": draw_count,
}


def draw(kind: str, rng: np.random.Generator, level: float) -> Drawing:
    """Draw one picture of a kind at a level of difficulty, with all its questions."""
    picture = Drawing(rng, level)
    KINDS[kind](picture)
    picture.degrade()
    return picture
