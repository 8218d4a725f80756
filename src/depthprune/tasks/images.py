"""Pictures that are opened on demand: files inside the data folder, encoded bytes, base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import TaskError, option
from depthprune.tasks.rows import check_pointer

if TYPE_CHECKING:
    from PIL.Image import Image


# The first characters of JPEG, PNG, GIF, WebP, BMP and TIFF files in base64. A path does not begin
# like this and consist of base64's letters: an extension's dot is none.
_BASE64_STARTS = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR", "Qk", "SUkqA", "TU0AK")
_SHORTEST_BASE64 = 32
_LONGEST_NAME = 255
_URL = re.compile(r"(https?|ftp|s3|gs|file|hf)://", re.IGNORECASE)

# Pillow would hand some other formats (EPS) to programs outside.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MEND = "replace the image, or leave its row out"


@dataclass(frozen=True)
class PictureFolder:
    """Where the pictures of a table may lie.

    Attributes:
        root: the folder that paths are relative to; None forbids paths.
        folder: the data folder, which paths and links must not leave.
        follow_links: whether links may leave it nevertheless.
    """

    root: Path | None = None
    folder: Path | None = None
    follow_links: bool = False


@dataclass(frozen=True)
class LazyImage:
    """A picture of one row, read when it is opened.

    Attributes:
        read: returns the cell: a path, base64 text, encoded bytes, or `{bytes, path}` as the
            Hugging Face hub writes it.
        pictures: where files may lie.
        place: tells a user which row this is.
    """

    read: Callable[[], Any]
    pictures: PictureFolder
    place: str

    def open(self) -> Image:
        """Return the picture in RGB, 8 bits a colour; raises TaskError that names the file."""
        from PIL import Image, ImageOps, UnidentifiedImageError

        encoded, place = self._encoded()
        try:
            with Image.open(io.BytesIO(encoded), formats=_FORMATS) as picture:
                picture.load()
                # Turned upright as the photographer held it, as `datasets` does. What a camera
                # wrote wrongly beside the picture leaves it as it is.
                with suppress(Exception), warnings.catch_warnings(action="ignore"):
                    ImageOps.exif_transpose(picture, in_place=True)
                return _on_white(_in_eight_bits(picture, picture.format, place))
        except UnidentifiedImageError as error:
            raise TaskError(
                f"not an image of the types {', '.join(_FORMATS)}", where=place, mend=_MEND
            ) from error
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise TaskError(f"a damaged image: {error}", where=place, mend=_MEND) from error

    def digest(self) -> str:
        """Return the hash of the encoded bytes; raises TaskError when the file is missing."""
        return hashlib.sha256(self._encoded()[0]).hexdigest()

    def _encoded(self) -> tuple[bytes, str]:
        """Return the encoded bytes and the place they come from."""
        cell = self.read()
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path") or cell.get("url") or cell
        if isinstance(cell, bytes | bytearray | memoryview):
            return bytes(cell), self.place
        if isinstance(cell, str) and not cell.strip():
            raise TaskError(
                "the picture's field is an empty text, which is not an image",
                where=self.place,
                mend="write null where a sample has no picture",
            )
        if not isinstance(cell, str):
            raise TaskError(
                f"{str(cell)[:60]!r} is not an image",
                where=self.place,
                mend="give a path, the bytes in base64, or an object with `bytes` or `path`",
            )
        if _URL.match(cell):
            raise TaskError(
                f"the picture is an address, {cell[:80]}: it is not fetched",
                where=self.place,
                mend="download the pictures into the data folder, and write their paths",
            )
        encoded = _decode_base64(cell, self.place)
        if encoded is not None:
            return encoded, self.place
        return self._file_bytes(cell)

    def _file_bytes(self, path: str) -> tuple[bytes, str]:
        where = self.pictures
        if where.root is None:
            raise TaskError("these data may not refer to image files", where=self.place)
        try:
            file = inside(where.root, path, where.folder, follow_links=where.follow_links)
            check_pointer(file)
            return file.read_bytes(), f"{file} ({self.place})"
        except OSError as error:
            raise TaskError(
                f"the image file cannot be read: {error.strerror or error}",
                where=f"{path[:200]} ({self.place})",
                mend=f"image paths are relative to {where.root}",
            ) from error


def _in_eight_bits(picture: Image, file_format: str | None, place: str) -> Image:
    """Scale 16 bits to 8, because `convert` clips what is above 255 to white."""
    # Pillow reads grey PPM files of 16 bits as mode I, scaled to 65535.
    if picture.mode.startswith("I;16") or (picture.mode, file_format) == ("I", "PPM"):
        import numpy as np
        from PIL import Image

        levels = np.asarray(picture)
        grey = Image.fromarray((levels >> 8).astype(np.uint8))
        clear = picture.info.get("transparency")
        if isinstance(clear, int):
            alpha = Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8))
            return Image.merge("LA", (grey, alpha))
        return grey
    if picture.mode in ("I", "F"):
        raise TaskError(
            "an image of 32-bit numbers: which of them is white is not known",
            where=place,
            mend="save the image with 8 or 16 bits a colour",
        )
    return picture


def _on_white(picture: Image) -> Image:
    """Return the picture in RGB, what is transparent laid on white, as a page shows it."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture.convert("RGB")
    seen = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def inside(
    root: Path, path: str, folder: Path | None = None, *, follow_links: bool = False
) -> Path:
    """Return `path`, relative to `root`, when it stays inside `folder`, symbolic links followed.

    Args:
        root: what the path is relative to.
        path: as the data have it.
        folder: what must not be left; `root` when it is None.
        follow_links: whether links inside the folder may lead out of it.

    Raises:
        TaskError: it leads out of the folder, or is no path at all.
        OSError: it cannot be looked up.
    """
    bound = root if folder is None else folder
    try:
        written = root.absolute() / path
        target = written.resolve()
    except (ValueError, RuntimeError) as error:  # RuntimeError: links that lead in a circle.
        raise TaskError(f"{path[:60]!r} is not a path: {error}", where=str(root)) from error
    is_written_inside = ".." not in Path(path).parts and (
        written.is_relative_to(bound.absolute()) or written.is_relative_to(bound.resolve())
    )
    is_inside = any(target.is_relative_to(place.resolve()) for place in (bound, root))
    if is_written_inside and (is_inside or follow_links):
        return target
    if is_written_inside:
        raise TaskError(
            f"the path {path!r} leads out of the data folder by a symbolic link",
            where=str(bound),
            mend=f"allow it with {option('follow_links')}, or put the file into the folder itself",
        )
    raise TaskError(
        f"the path {path!r} leads out of the data folder",
        where=str(bound),
        mend="put the file into the folder itself; `..` and paths elsewhere are not followed",
    )


def _decode_base64(text: str, place: str) -> bytes | None:
    """Return the bytes of a picture in base64, None of what is no such text."""
    is_address = text.startswith("data:")
    if is_address:
        text = text.partition(",")[2]
    elif len(text) < _SHORTEST_BASE64 or not text.startswith(_BASE64_STARTS):
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        if is_address or len(text) > _LONGEST_NAME:
            raise TaskError(
                f"a picture in base64 that is damaged: {error}", where=place, mend=_MEND
            ) from error
        return None
