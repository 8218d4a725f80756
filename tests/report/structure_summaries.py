"""Summaries made by hand, for tests of the page of many models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp
from depthprune.structure.compare import strategy_of
from depthprune.structure.comparison import CountChange, LayerComparison, ModelComparison
from depthprune.structure.summaries import ModelSummaries, ModelSummary

ATTENTION, MLP, NORM = 41_943_040, 176_160_768, 8_192
WHOLE = ATTENTION + MLP + NORM
SIZE, HEADS, KV_HEADS = 14_336, 32, 8
EMBEDDING = 525_336_576

Left = tuple[float, float] | None
"""Shares of attention and MLP that are left; None for a layer that is gone."""


def comparison(name: str, left: Sequence[Left], *, missing: int = 0) -> ModelComparison:
    """Return a comparison with Llama-3-8B's layers of which these shares are left."""
    layers, pruned_index = [], 0
    for index, shares in enumerate(left):
        attention, mlp = shares or (0.0, 0.0)
        size = round(SIZE * mlp)
        heads, ups = round(ATTENTION * attention), MLP // SIZE * size
        norm = NORM if shares else 0
        layers.append(
            LayerComparison(
                index=index,
                pruned_index=pruned_index if shares else None,
                total=CountChange(WHOLE, heads + ups + norm),
                attention=CountChange(ATTENTION, heads),
                mlp=CountChange(MLP, ups),
                intermediate_size=CountChange(SIZE, size),
                is_zero=shares == (0.0, 0.0),
            )
        )
        pruned_index += shares is not None
    original = WHOLE * (len(left) + missing)
    kept = sum(layer.total.pruned for layer in layers)
    rest = 2 * EMBEDDING + 4096
    found = ModelComparison(
        original_name="Llama-3-8B-Instruct",
        pruned_name=name,
        total=CountChange(original + rest, kept + rest),
        layer_params=CountChange(original, kept),
        layers=tuple(layers),
        aligned_by="position" if missing else "content",
        missing_layers=missing,
    )
    strategy, evidence = strategy_of(found)
    return replace(found, strategy=strategy, evidence=evidence)


def anatomy(of: ModelComparison) -> Anatomy:
    """Return the pruned model of a comparison."""
    stay = [layer for layer in of.layers if layer.pruned_index is not None]
    layers = tuple(
        Layer(
            index=place,
            total=layer.total.pruned,
            attention=Attention(
                total=layer.attention.pruned,
                num_heads=round(HEADS * layer.attention.pruned / ATTENTION),
                num_kv_heads=round(KV_HEADS * layer.attention.pruned / ATTENTION),
                type="LlamaAttention",
            ),
            mlp=Mlp(
                total=layer.mlp.pruned,
                intermediate_size=round(SIZE * layer.mlp.pruned / MLP),
                type="LlamaMLP",
            ),
            norm=NORM,
            is_zero=layer.is_zero,
        )
        for place, layer in enumerate(stay)
    )
    return Anatomy(
        name=of.pruned_name,
        total=of.total.pruned,
        embedding=EMBEDDING,
        lm_head=EMBEDDING,
        layers=layers,
        norm=4096,
        dtypes={"BF16": of.total.pruned},
        bytes=2 * of.total.pruned,
    )


def model(of: ModelComparison, folder: str = "results") -> ModelSummary:
    """Return a model that has both files."""
    name = f"{folder}/{of.pruned_name}"
    return ModelSummary(
        name, Path(name), anatomy=anatomy(of), comparison=of, original=of.total.original
    )


def ramp(count: int, least: float) -> list[Left]:
    """Return layers that keep less and less towards the end."""
    step = (1 - least) / max(1, count - 1)
    return [
        (round(1 - step * place, 4), round(1 - step * place * 0.8, 4)) for place in range(count)
    ]


def cut(count: int, removed: Sequence[int]) -> list[Left]:
    """Return whole layers, some of them gone."""
    return [None if place in removed else (1.0, 1.0) for place in range(count)]


def attention_gone(count: int, where: Sequence[int]) -> list[Left]:
    """Return layers of which some have lost their attention."""
    return [(0.0 if place in where else 1.0, 0.75) for place in range(count)]


def small() -> ModelSummaries:
    """Return every kind of model once; eight layers each."""
    removed = comparison("ShortGPT_cut", cut(8, (5, 6)))
    unsaid = comparison("ShortGPT_old", cut(6, ()), missing=2)
    heads = comparison("HGSP", attention_gone(8, (2, 7)))
    emptied = comparison("Taylor", [*ramp(6, 0.1), (0.0, 0.0), (1.0, 0.0)])
    sliced = anatomy(comparison("SliceGPT", ramp(8, 0.6)))
    broken = "analysis/layer_importance_similarity.json: NaN is not JSON: line 3, column 12"
    return ModelSummaries(
        dirs=("baselines", "results"),
        models=(
            ModelSummary("baselines/SliceGPT", Path("s"), anatomy=sliced),
            model(removed, "baselines"),
            model(unsaid, "baselines"),
            replace(model(heads), problems=(broken,)),
            model(emptied),
            ModelSummary(
                "results/raw 10", Path("r"), mend="depthprune structure analyze --model_path r"
            ),
        ),
    )


def many(count: int = 1000, num_layers: int = 32) -> ModelSummaries:
    """Return many models, all different."""
    models = []
    for place in range(count):
        left: list[Left] = [
            (
                ((place * 7 + layer * 13) % 33) / 32,
                ((place * 31 + layer * 17) % 97) / 96,
            )
            for layer in range(num_layers)
        ]
        left[place % num_layers] = None
        models.append(model(comparison(f"model_{place}", left)))
    return ModelSummaries(dirs=("results",), models=tuple(models))


def odd() -> ModelSummaries:
    """Return models as only strange files describe them."""
    usual = comparison("usual", cut(8, (3,)))
    first, second = usual.layers[:2]
    layers = {
        "none": (),
        "gaps": (first, replace(second, index=6)),
        "far": (first, replace(second, index=10**9)),
        "grown": (
            replace(first, total=CountChange(WHOLE, 2 * WHOLE), mlp=CountChange(MLP, 2 * MLP)),
            second,
        ),
        "no attention": (replace(first, attention=CountChange(0, 0)), second),
        "nothing at all": (
            replace(
                first, total=CountChange(0, 0), attention=CountChange(0, 0), mlp=CountChange(0, 0)
            ),
        ),
        "no size": (replace(first, intermediate_size=None), second),
        "too many": tuple(replace(first, index=index) for index in range(1001)),
    }
    models = [model(usual)]
    for name, given in layers.items():
        models.append(ModelSummary(name, Path(name), comparison=replace(usual, layers=given)))
    lacking = replace(usual, missing_layers=10**12)
    models.append(ModelSummary("lacking", Path("lacking"), comparison=lacking))
    models.append(ModelSummary("n" * 300, Path("long"), anatomy=anatomy(usual)))
    return ModelSummaries(("a folder", "/another/one"), tuple(models))
