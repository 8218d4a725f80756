"""Figures as PNG files hold the pixels that were drawn."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from depthprune.report.figures import png_bytes


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 3), (300, 200)])
def test_another_reader_finds_the_same_pixels(width: int, height: int) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)
    with Image.open(BytesIO(png_bytes(drawn, 200))) as read:
        assert read.mode == "RGB"
        assert read.info["dpi"] == pytest.approx((200, 200), abs=0.01)
        assert np.array_equal(np.asarray(read), drawn[..., :3])


def test_a_white_page_is_small() -> None:
    white = np.full((1600, 2600, 4), 255, dtype=np.uint8)
    assert len(png_bytes(white, 200)) < 100_000
