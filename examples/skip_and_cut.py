"""Skip blocks of a model in memory, cut the same blocks out, and see that both are one model.

    python examples/skip_and_cut.py OUTPUT

OUTPUT gets the smaller checkpoint, which plain transformers loads.
"""

from __future__ import annotations

import sys

import torch

import depthprune as dp

REMOVAL = (4, 13)


def main(output: str) -> None:
    """Compare skipping with cutting on a few tokens."""
    model = dp.load_model("demo", device="cpu")
    tokens = torch.tensor([[1, 20, 30, 40, 50]])
    with torch.inference_mode(), dp.skip(model, REMOVAL) as module:
        skipped = module(input_ids=tokens).logits
    made = dp.cut("demo", REMOVAL, output)
    print(f"{made.plan.bytes_before} bytes before, {made.plan.bytes_after} after")
    smaller = dp.load_model(output, device="cpu")
    with torch.inference_mode():
        cut = smaller.model(input_ids=tokens).logits
    print(f"{smaller.num_blocks} blocks; largest difference: {(cut - skipped).abs().max():.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
