"""Files of evaluations, ours and those of the old scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def card(
    *,
    removed: Sequence[int] = (),
    parameters: int = 1000,
    ppl: float | None = 10.0,
    window: int = 2048,
    accuracies: Mapping[str, float] | None = None,
    n: int = 100,
    speed: float = 100.0,
    new_tokens: int = 128,
    weights: int = 1000,
    skipped: int = 0,
    peak: int | None = 5000,
    device: str = "NVIDIA H100",
) -> dict[str, Any]:
    """Return the content of a file as `depthprune evaluate` writes it."""
    accuracies = {"piqa": 0.75, "boolq": 0.75} if accuracies is None else accuracies
    bounds = {"stride": 512, "window_asked": 2048, "stride_asked": 512}
    text = {"nll": 2302.6, "tokens": 1000, **bounds}
    return {
        "schema_version": 1,
        "model_info": {
            "name": "tiny",
            "fingerprint": "f",
            "architecture": "LlamaForCausalLM",
            "dtype": "float32",
            "stack": "model.layers",
            "num_blocks": 16,
            "removed": list(removed),
            "num_active_blocks": 16 - len(removed),
            "parameters": parameters,
            "module_parameters": {"embedding": 100, "attention": parameters - 100, "mlp": 0},
        },
        "ppl": {
            "wikitext2": {
                "standard": {"ppl": ppl, "window": window, **text},
                "quick": {**text, "ppl": 11.0, "window": 128, "window_asked": 128},
                "text_sha256": "abc",
            }
        },
        "zeroshot": {
            "tasks": {
                name: {"metric": "acc", "accuracy": accuracy, "stderr": 0.01, "n": n}
                for name, accuracy in accuracies.items()
            },
            "average": 0.75 if accuracies else None,
            "average_of": list(accuracies),
        },
        "speed": {
            "batch_size_1": {
                "tokens_per_second": speed,
                "tokens_per_second_std": 1.0,
                "ms_per_token": 1000 / speed,
                "ms_per_step": 1000 / speed,
                "prompt_tokens": 64,
                "new_tokens": new_tokens,
                "device": device,
            }
        },
        "memory": {
            "batch_size_1": {
                "weights_bytes": weights,
                "skipped_bytes": skipped,
                "peak_bytes": peak,
                "peak_of": "allocated on GPUs",
            }
        },
        "errors": {},
        "config": {},
    }


def old_card() -> dict[str, Any]:
    """Return the content of a file as the old scripts wrote it."""
    standard = {"wikitext2 (wikitext-2-raw-v1)": 39.87, "ptb": 70.0}
    return {
        "model_path": "results/HGSP_2000/pruned_model.bin",
        "timestamp": "2025-11-22T22:58:20.818638",
        "metrics": {
            "model_info": {"total_params": 6424219648, "num_layers": 32},
            "ppl_quick_128": {"wikitext2 (wikitext-2-raw-v1)": 80.5},
            "ppl_standard_2048_512": standard,
            "ppl": standard,
            "zeroshot": {"piqa": {"accuracy": 0.7193, "full_results": {"acc,none": 0.7084}}},
            "avg_zeroshot_acc": 0.7193,
            "efficiency": {
                "speed": {
                    "batch_size_1": {
                        "throughput_tokens_per_sec": 30.9,
                        "latency_ms_per_token": 32.3,
                    }
                },
                "memory": {"model_memory_mb": 2.0, "inference_peak_mb": 3.0},
            },
        },
    }
