"""The model as it is trained: transformers' weights, a lean forward pass, and three losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from architecture import HEAD_SIZE, HEADS, HIDDEN, KEY_VALUE_HEADS, build_config
from batches import IGNORED, PREFIX, Batch, Encoder
from depthprune.tasks.demo.drawing import LABELS

EPSILON = 1e-5
CLASSES = [len(names) + 1 for names in LABELS.values()]


def normalize(x: Tensor, weight: Tensor) -> Tensor:
    """Root-mean-square normalization."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * weight


def run_block(
    x: Tensor, mask: Tensor, cos: Tensor, sin: Tensor, weights: Sequence[Tensor]
) -> Tensor:
    """One Llama block, written out so that it compiles to few kernels on a CPU."""
    norm1, query, key, value, output, norm2, gate, up, down = weights
    batch, length, width = x.shape
    half, rotated = HEAD_SIZE // 2, HEADS + KEY_VALUE_HEADS
    merged = F.linear(normalize(x, norm1), torch.cat([query, key, value]))
    heads = merged.view(batch, length, HEADS + 2 * KEY_VALUE_HEADS, HEAD_SIZE)
    a, b = heads[:, :, :rotated, :half], heads[:, :, :rotated, half:]
    turned = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
    repeats = HEADS // KEY_VALUE_HEADS
    q = turned[:, :, :HEADS].transpose(1, 2)
    k = turned[:, :, HEADS:].repeat_interleave(repeats, 2).transpose(1, 2)
    v = heads[:, :, rotated:].repeat_interleave(repeats, 2).transpose(1, 2)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    x = x + F.linear(mixed.transpose(1, 2).reshape(batch, length, width), output)
    g, u = F.linear(normalize(x, norm2), torch.cat([gate, up])).chunk(2, -1)
    return x + F.linear(F.silu(g) * u, down)


def block_weights(block: nn.Module) -> tuple[Tensor, ...]:
    """A block's weights in the order of `run_block`."""
    attention, mlp = block.self_attn, block.mlp
    return (
        block.input_layernorm.weight,
        attention.q_proj.weight,
        attention.k_proj.weight,
        attention.v_proj.weight,
        attention.o_proj.weight,
        block.post_attention_layernorm.weight,
        mlp.gate_proj.weight,
        mlp.up_proj.weight,
        mlp.down_proj.weight,
    )


@dataclass
class Losses:
    """What one batch costs: answers, cell labels, cell alignment, and the answers' logits."""

    answer: Tensor
    cells: Tensor
    alignment: Tensor
    logits: Tensor
    wanted: Tensor
    rows: Tensor


class Network(nn.Module):
    """A LLaVA model with a head that reads the cell labels off the vision tower."""

    def __init__(self, processor: LlavaProcessor, encode: Encoder, blocks: int) -> None:
        super().__init__()
        self.model = LlavaForConditionalGeneration(build_config(processor.tokenizer, blocks))
        self.cell_head = nn.Linear(HIDDEN, sum(CLASSES))
        self.encode = encode
        self.block = torch.compile(run_block, dynamic=True)
        # Larger embeddings and smaller residual branches than the default: it learns sooner.
        self.text.embed_tokens.weight.data.mul_(5)
        for block in self.text.layers:
            for matrix in (block.self_attn.o_proj, block.mlp.down_proj):
                matrix.weight.data.mul_((2 * blocks) ** -0.5)
        self.start = torch.tensor([[processor.tokenizer.bos_token_id, encode.user]])
        self.words = [torch.tensor([-1, *map(self._word, names)]) for names in LABELS.values()]
        self.nothing = encode(".")[-1]

    @property
    def text(self) -> nn.Module:
        """The text decoder."""
        return self.model.model.language_model

    def _word(self, name: str) -> int:
        """The token that names a thing, or -1 where it takes several."""
        tokens = self.encode(name)
        if len(tokens) == 2 and tokens[0] == self.encode("A")[0]:
            return tokens[1]
        return tokens[0] if len(tokens) == 1 else -1

    def see(self, pixels: Tensor) -> Tensor:
        """The vision tower's last hidden states, (B, 36, 96)."""
        seen = self.model.model.vision_tower(pixels, output_hidden_states=True)
        return seen.hidden_states[-1]

    def cell_loss(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """How badly shape, color, glyph and flag of each cell are read off the vision tower."""
        parts = self.cell_head(hidden).split(CLASSES, -1)
        losses = [
            F.cross_entropy(part.flatten(0, 1), labels[:, layer].flatten())
            for layer, part in enumerate(parts)
        ]
        return torch.stack(losses).sum()

    def alignment_loss(self, projected: Tensor, labels: Tensor) -> Tensor:
        """How badly each projected cell names its contents through the tied word embeddings."""
        wanted = torch.stack([words[labels[:, i]] for i, words in enumerate(self.words)], -1)
        hidden = normalize(projected, self.text.norm.weight)
        chances = F.log_softmax(F.linear(hidden, self.text.embed_tokens.weight), -1)
        known = wanted >= 0
        count = known.sum(-1)
        named = -(chances.gather(-1, wanted.clamp(min=0)) * known).sum(-1) / count.clamp(min=1)
        return torch.where(count > 0, named, -0.1 * chances[..., self.nothing]).mean()

    def forward(self, batch: Batch, skipped: frozenset[int] = frozenset()) -> Losses:
        """Run a batch with some blocks left out."""
        hidden = self.see(batch.pixels)
        projected = self.model.model.multi_modal_projector(hidden)
        start = self.text.embed_tokens(self.start).expand(len(projected), -1, -1)
        x = torch.cat([start, projected, self.text.embed_tokens(batch.tokens)], 1)
        angles = batch.positions[..., None].float() * self.text.rotary_emb.inv_freq
        cos, sin = angles.cos()[:, :, None], angles.sin()[:, :, None]
        mask = torch.zeros(batch.mask.shape).masked_fill_(~batch.mask, -torch.inf)
        for number, block in enumerate(self.text.layers):
            if number not in skipped:
                x = self.block(x, mask, cos, sin, block_weights(block))
        asked = batch.targets != IGNORED
        logits = self.model.lm_head(normalize(x[:, PREFIX:][asked], self.text.norm.weight))
        wanted = batch.targets[asked]
        return Losses(
            answer=F.cross_entropy(logits, wanted),
            cells=self.cell_loss(hidden, batch.labels),
            alignment=self.alignment_loss(projected, batch.labels),
            logits=logits,
            wanted=wanted,
            rows=asked.nonzero()[:, 0],
        )

    @torch.no_grad()
    def balance_projector(self, pixels: Tensor) -> None:
        """Scale the projector's output to the size of word embeddings, or nothing is learned."""
        projector = self.model.model.multi_modal_projector
        size = projector(self.see(pixels)).pow(2).mean().sqrt()
        factor = self.text.embed_tokens.weight.pow(2).mean().sqrt() / size
        projector.linear_2.weight.mul_(factor)
        projector.linear_2.bias.mul_(factor)

    def adopt(
        self, weights: dict[str, Tensor], sources: Sequence[int], shares: Sequence[float]
    ) -> None:
        """Take over a smaller network, each of its blocks as one or more copies in a row.

        Copies share the work: what each adds to the residual stream is scaled by its share. So
        the deeper network does nearly the same from the first step on, and all of it matters
        (blocks that begin at zero were tried: they stayed idle).
        """
        own = self.state_dict()
        for key, value in weights.items():
            if "language_model.layers." not in key:
                own[key] = value
                continue
            head, tail = key.split(".layers.")
            number, rest = tail.split(".", 1)
            adds = rest in ("self_attn.o_proj.weight", "mlp.down_proj.weight")
            for place, (source, share) in enumerate(zip(sources, shares, strict=True)):
                if source == int(number):
                    own[f"{head}.layers.{place}.{rest}"] = value * share if adds else value
        self.load_state_dict(own)

    @torch.no_grad()
    def even_out(self, blocks: Sequence[int], amount: float) -> None:
        """Draw the weights of some blocks towards their common mean (1: they become equal)."""
        for weights in zip(*(block_weights(self.text.layers[b]) for b in blocks), strict=True):
            mean = torch.stack(list(weights)).mean(0)
            for weight in weights:
                weight.lerp_(mean, amount)

    def adopt_vision(self, weights: dict[str, Tensor]) -> None:
        """Take over a trained vision tower and cell head only."""
        parts = ("vision_tower", "cell_head")
        chosen = {k: v for k, v in weights.items() if any(part in k for part in parts)}
        self.load_state_dict(self.state_dict() | chosen)
