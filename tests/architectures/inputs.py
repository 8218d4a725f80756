"""Random inputs for tiny models of every architecture, with pictures or sound where they go in."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

ROWS, LENGTH = 2, 12
FIRST_TOKEN, LAST_TOKEN = 3, 99  # ids from 100 on may be special in a tiny configuration
SIDE = 4  # patches per side of a picture that is given as patches

MEDIA = ("pixel_values", "high_res_pixel_values", "flattened_patches", "input_features")
"""Arguments that hold pictures or sounds."""

Inputs = dict[str, Any]


def make_inputs(model: nn.Module, role: str) -> Inputs:
    """Return the arguments of a forward pass that works: with pictures or sound where they fit.

    Raises whatever the model raises when not even text alone works.
    """
    torch.manual_seed(2)
    if role == "vit":
        return first_that_works(model, pictures_alone(model))
    media = {"vlm": PICTURES, "s2s": SOUNDS}.get(role)
    if media is not None:
        try:
            return first_that_works(model, with_media(model, media), looked_at)
        except Exception as error:
            failure = error
        try:
            return first_that_works(model, iter([text(model)]))
        except Exception:
            raise failure from None
    return text(model)


def first_that_works(
    model: nn.Module,
    candidates: Iterator[Inputs],
    accept: Callable[[nn.Module, Inputs], bool] = lambda model, inputs: True,
) -> Inputs:
    """Return the first inputs on which the model runs; raises what the first one raised."""
    failure: Exception | None = None
    for inputs in candidates:
        try:
            with torch.no_grad():
                model(**inputs)
            if accept(model, inputs):
                return inputs
        except Exception as error:
            failure = failure or error
    raise failure or ValueError("no inputs fit this model")


def looked_at(model: nn.Module, inputs: Inputs) -> bool:
    """Return whether other pictures or sounds give other logits."""
    others = {name: value * 1.5 if name in MEDIA else value for name, value in inputs.items()}
    if "flattened_patches" in inputs:  # which begin with their place
        others["flattened_patches"][..., :2] = inputs["flattened_patches"][..., :2]
    with torch.no_grad():
        return not torch.equal(model(**inputs).logits, model(**others).logits)


def text(model: nn.Module, length: int = LENGTH) -> Inputs:
    """Return rows of random tokens."""
    inputs: Inputs = {
        "input_ids": torch.randint(FIRST_TOKEN, LAST_TOKEN, (ROWS, length)),
        "attention_mask": torch.ones(ROWS, length, dtype=torch.long),
    }
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.randint(FIRST_TOKEN, LAST_TOKEN, (ROWS, 5))
    return inputs


@dataclass(frozen=True)
class Media:
    """What goes in beside text.

    Attributes:
        recipes: the ways in which models take it, tried in turn.
        getter: the method that turns it into features.
        tokens: the configuration's names for the token that stands for a feature.
    """

    recipes: tuple[Callable[[Any], Iterator[Inputs]], ...]
    getter: str
    tokens: tuple[str, ...]


def with_media(model: nn.Module, media: Media) -> Iterator[Inputs]:
    """Yield inputs with a picture or sound in every row, for each way in which models take it."""
    accepted = set(inspect.signature(model.forward).parameters)
    for recipe in media.recipes:
        for given in recipe(model.config):
            if not set(given) - {"placeholders"} <= accepted:
                continue
            placeholders = given.pop("placeholders", None)
            if placeholders is None:
                placeholders = count_features(model, given, media.getter)
            token = first_attribute(model.config, media.tokens)
            if placeholders == 0 or token is not None:
                yield place(model, given, placeholders, token, accepted)


def pictures_alone(model: nn.Module) -> Iterator[Inputs]:
    """Yield inputs of a vision model."""
    config = vision_config(model.config)
    yield {"pixel_values": torch.randn(ROWS, *picture_shape(config))}
    yield {
        "pixel_values": torch.randn(ROWS, SIDE * SIDE, patch_width(config)),
        "pixel_attention_mask": torch.ones(ROWS, SIDE * SIDE, dtype=torch.long),
        "spatial_shapes": torch.tensor([[SIDE, SIDE]] * ROWS),
    }
    yield {"input_ids": torch.randint(FIRST_TOKEN, LAST_TOKEN, (ROWS, LENGTH))}


def place(
    model: nn.Module, given: Inputs, placeholders: int, token: int | None, accepted: set[str]
) -> Inputs:
    """Return text with `placeholders` tokens for the given media per row, and the media."""
    inputs = text(model, LENGTH + placeholders)
    marks = torch.zeros_like(inputs["input_ids"])
    marks[:, 2 : 2 + placeholders] = 1
    if placeholders:
        start = first_attribute(model.config, ("vision_start_token_id",))
        if start is not None:
            inputs["input_ids"][:, 1] = start
        inputs["input_ids"][marks.bool()] = token
    if "mm_token_type_ids" in accepted:
        inputs["mm_token_type_ids"] = marks
    if "moe_mm_token_type_ids" in accepted:
        inputs["moe_mm_token_type_ids"] = marks
    for name, value in given.items():
        inputs[name] = value(inputs["input_ids"]) if callable(value) else value
    return inputs


def count_features(model: nn.Module, given: Inputs, getter: str) -> int:
    """Return how many tokens of a row the media take: what the model turns them into."""
    for owner in (model, getattr(model, "model", None)):
        function = getattr(owner, getter, None)
        if function is None:
            continue
        accepted = set(inspect.signature(function).parameters)
        chosen = {k: v for k, v in given.items() if k in accepted or "args" in accepted}
        width = model.config.get_text_config(decoder=True).hidden_size
        try:
            with torch.no_grad():
                features = function(**chosen)
            features = getattr(features, "pooler_output", features)
            return number_of_elements(features) // width // ROWS
        except Exception:  # not the arguments that this model's function takes
            continue
    return features_complained_about(model, given)


def features_complained_about(model: nn.Module, given: Inputs) -> int:
    """Return how many tokens of a row the model misses when text without any is given."""
    given = {name: value for name, value in given.items() if not callable(value)}
    try:
        with torch.no_grad():
            model(**text(model), **given)
    except Exception as error:
        missed = re.search(r"tokens: 0, features:? (\d+)", str(error))
        return int(missed[1]) // ROWS if missed else 0
    return 0


def number_of_elements(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel()
    return sum(number_of_elements(entry) for entry in value)


def vision_config(config: Any) -> Any:
    names = ("vision_config", "vision_model_config", "vision_encoder_config", "encoder")
    return first_attribute(config, names) or config


def first_attribute(holder: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        value = getattr(holder, name, None)
        if value is not None:
            return value
    return None


def picture_shape(config: Any) -> tuple[int, int, int]:
    size = first_attribute(config, ("image_size",)) or 32
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return channels(config), height, width


def channels(config: Any) -> int:
    return int(first_attribute(config, ("num_channels", "in_channels", "in_chans")) or 3)


def patch_width(config: Any) -> int:
    size = first_attribute(config, ("patch_size",)) or 8
    size = size[0] if isinstance(size, list | tuple) else size
    return channels(config) * int(size) ** 2


def _whole_pictures(config: Any) -> Iterator[Inputs]:
    """One picture per row: LLaVA, Gemma 3, and models that need no picture tokens (BLIP, GIT)."""
    shape = picture_shape(vision_config(config))
    sizes = torch.tensor([shape[1:]] * ROWS)
    yield {"pixel_values": torch.randn(ROWS, *shape), "image_sizes": sizes}
    yield {"pixel_values": torch.randn(ROWS, *shape)}
    high = torch.randn(ROWS, *picture_shape(getattr(config, "high_res_vision_config", config)))
    yield {"pixel_values": torch.randn(ROWS, *shape), "high_res_pixel_values": high}
    yield {"pixel_values": torch.randn(ROWS, *shape), "placeholders": 0}


def _patches_with_grid(config: Any) -> Iterator[Inputs]:
    """Patches of all pictures in one list, with the grid of each: Qwen-VL and its kin."""
    vision = vision_config(config)
    grid = torch.tensor([[1, SIDE, SIDE]] * ROWS)
    depth = first_attribute(vision, ("temporal_patch_size",)) or 1
    for times in dict.fromkeys((int(depth), 1, 2)):
        patches = torch.randn(ROWS * SIDE * SIDE, patch_width(vision) * times)
        yield {"pixel_values": patches, "image_grid_thw": grid}
        merged = torch.full((ROWS,), 2)
        yield {"pixel_values": patches, "image_grid_thw": grid, "image_merge_sizes": merged}
        yield {"pixel_values": patches, "image_grid_hw": grid[:, 1:]}
    size = math.isqrt(patch_width(vision) // channels(vision))
    patches = torch.randn(ROWS * SIDE * SIDE, channels(vision), size, size)
    yield {"pixel_values": patches, "image_grid_thw": grid}


def _tiles(config: Any) -> Iterator[Inputs]:
    """Every picture as a list of tiles: LLaVA-NeXT, Idefics."""
    shape = picture_shape(vision_config(config))
    sizes = torch.tensor([shape[1:]] * ROWS)
    for tiles in (2, 1):
        pixels = torch.randn(ROWS, tiles, *shape)
        yield {"pixel_values": pixels, "image_sizes": sizes}
        yield {"pixel_values": pixels}
        there = torch.ones(ROWS, tiles, dtype=torch.bool)
        yield {"pixel_values": pixels, "pixel_attention_mask": there}
        yield {
            "pixel_values": pixels,
            "image_attention_mask": lambda ids, tiles=tiles: torch.ones(*ids.shape, tiles),
            "placeholders": 0,
        }


def _tiles_with_aspect(config: Any) -> Iterator[Inputs]:
    """Tiles and the arrangement they are in, read by cross-attention: Mllama."""
    vision = vision_config(config)
    tiles = int(first_attribute(vision, ("max_num_tiles",)) or 4)
    yield {
        "pixel_values": torch.randn(ROWS, 1, tiles, *picture_shape(vision)),
        "aspect_ratio_ids": torch.ones(ROWS, 1, dtype=torch.long),
        "aspect_ratio_mask": torch.ones(ROWS, 1, tiles, dtype=torch.long),
        "cross_attention_mask": lambda ids: torch.ones(*ids.shape, 1, tiles, dtype=torch.long),
        "placeholders": 0,
    }


def _flat_patches(config: Any) -> Iterator[Inputs]:
    """Patches per picture with their arrangement: SigLIP 2, Pix2Struct."""
    vision = vision_config(config)
    patches = torch.randn(ROWS, SIDE * SIDE, patch_width(vision))
    mask = torch.ones(ROWS, SIDE * SIDE, dtype=torch.long)
    shapes = torch.tensor([[SIDE, SIDE]] * ROWS)
    yield {"pixel_values": patches, "spatial_shapes": shapes, "pixel_attention_mask": mask}
    positions = torch.stack(
        torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="xy"), dim=-1
    )
    positions = positions.reshape(1, SIDE * SIDE, 2).repeat(ROWS, 1, 1)
    for factor in (1, 4, 9):
        yield {
            "pixel_values": torch.randn(ROWS, SIDE * SIDE, patch_width(vision) * factor),
            "image_position_ids": positions,
        }


def _target_sizes(config: Any) -> Iterator[Inputs]:
    """All patches in a row of pixels, with the sizes in patches: MiniCPM-V."""
    vision = vision_config(config)
    size = math.isqrt(patch_width(vision) // channels(vision))
    yield {
        "pixel_values": torch.randn(1, channels(vision), size, ROWS * SIDE * SIDE * size),
        "target_sizes": torch.tensor([[SIDE, SIDE]] * ROWS),
    }


def _query_tokens(config: Any) -> Iterator[Inputs]:
    """Pictures that become a fixed number of tokens by queries: BLIP-2, InstructBLIP."""
    shape = picture_shape(vision_config(config))
    queries = int(first_attribute(config, ("num_query_tokens",)) or 0)
    question = torch.randint(FIRST_TOKEN, LAST_TOKEN, (ROWS, 5))
    pixels = torch.randn(ROWS, *shape)
    yield {"pixel_values": pixels, "qformer_input_ids": question, "placeholders": queries}
    frames = torch.randn(ROWS, 4, *shape)
    yield {"pixel_values": frames, "qformer_input_ids": question, "placeholders": queries * 4}
    yield {"pixel_values": pixels, "placeholders": queries}


def _embedded_positions(config: Any) -> Iterator[Inputs]:
    """Pictures that replace marked positions: Kosmos-2."""
    vision = vision_config(config)
    latent = int(first_attribute(config, ("latent_query_num",)) or 8)

    def mask(ids: torch.Tensor) -> torch.Tensor:
        marked = torch.zeros_like(ids)
        marked[:, 1 : 1 + latent] = 1
        return marked

    yield {
        "pixel_values": torch.randn(ROWS, *picture_shape(vision)),
        "image_embeds_position_mask": mask,
        "placeholders": 0,
    }
    yield {
        "flattened_patches": numbered_patches(vision),
        "width": torch.full((ROWS, 1), SIDE),
        "height": torch.full((ROWS, 1), SIDE),
        "image_embeds_position_mask": mask,
        "placeholders": 0,
    }
    yield {"flattened_patches": numbered_patches(vision), "placeholders": 0}


def numbered_patches(config: Any) -> torch.Tensor:
    """Return patches that begin with their row and column, counted from 1."""
    places = [[row, column] for row in range(1, SIDE + 1) for column in range(1, SIDE + 1)]
    numbers = torch.tensor(places, dtype=torch.float).repeat(ROWS, 1, 1)
    return torch.cat([numbers, torch.randn(ROWS, SIDE * SIDE, patch_width(config))], dim=-1)


def _boxes(config: Any) -> Iterator[Inputs]:
    """Documents whose tokens have places on the page: UDOP."""
    yield {
        "pixel_values": torch.randn(ROWS, *picture_shape(config)),
        "bbox": lambda ids: torch.rand(*ids.shape, 4),
        "placeholders": 0,
    }


def _spectra(config: Any) -> Iterator[Inputs]:
    """A mel spectrogram per row, bins before frames or after."""
    sound = first_attribute(config, ("audio_config", "encoder_config")) or config
    bins = int(first_attribute(sound, ("input_dim", "num_mel_bins")) or 80)
    for frames in (2 * int(first_attribute(sound, ("max_source_positions",)) or 32), 200):
        mask = torch.ones(ROWS, frames, dtype=torch.long)
        for shape in ((bins, frames), (frames, bins)):
            features = torch.randn(ROWS, *shape)
            yield {"input_features": features, "input_features_mask": mask}
            yield {
                "input_features": features,
                "feature_attention_mask": mask,
                "placeholders": frames // 4,
            }
            yield {"input_features": features}


PICTURES = Media(
    recipes=(
        _patches_with_grid,
        _tiles_with_aspect,
        _flat_patches,
        _target_sizes,
        _query_tokens,
        _embedded_positions,
        _boxes,
        _whole_pictures,
        _tiles,
    ),
    getter="get_image_features",
    tokens=("image_token_id", "image_token_index", "video_token_index", "image_patch_id"),
)
SOUNDS = Media(
    recipes=(_spectra,),
    getter="get_audio_features",
    tokens=("audio_token_id", "audio_token_index"),
)
