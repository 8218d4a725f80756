"""What the demo's pictures are made of: colors, shapes, a 5 x 7 bitmap font, flags, words."""

from typing import NamedTuple

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
SIGNS = [
    "stop",
    "exit",
    "open",
    "taxi",
    "cafe",
    "bank",
    "hotel",
    "park",
    "sale",
    "menu",
    "shop",
    "zoo",
    "gym",
    "bar",
    "food",
    "gas",
    "ice",
    "pizza",
    "music",
    "books",
    "toilet",
    "police",
    "school",
    "museum",
]
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
