"""Definitions of the lm-evaluation-harness, one of each kind, and its own numbers of them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

DRAWS = 5  # for standard errors that have no formula
KINDS = ("tiny_choice", "tiny_written", "tiny_texts")

CHOICE = """
task: tiny_choice
tag: tiny_tag
dataset_path: json
dataset_kwargs:
  data_files:
    train: "{folder}/train.jsonl"
    validation: "{folder}/validation.jsonl"
    test: "{folder}/test.jsonl"
training_split: train
validation_split: validation
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}} answer :"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{gold}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
  - {{metric: mcc}}
  - {{metric: brier_score}}
metadata: {{version: 1.0}}
"""

WRITTEN = """
task: tiny_written
tag: tiny_tag
dataset_path: json
dataset_kwargs:
  data_files: {{train: "{folder}/train.jsonl", test: "{folder}/test.jsonl"}}
training_split: train
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{choices[gold]}}}}"
generation_kwargs: {{until: ["cat", ". ?"], max_gen_toks: 8, do_sample: false}}
filter_list:
  - name: whole
    filter: [{{function: take_first}}]
  - name: word
    filter: [{{function: regex, regex_pattern: "(red|blue|green)"}}, {{function: take_first}}]
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""

TEXTS = """
task: tiny_texts
dataset_path: json
dataset_kwargs:
  data_files: {{test: "{folder}/test.jsonl"}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{question}}}} {{{{choices | join(' . ')}}}}"
metric_list:
  - {{metric: word_perplexity}}
  - {{metric: byte_perplexity}}
  - {{metric: bits_per_byte}}
"""

LAST_WORD = """
task: tiny_last_word
dataset_path: json
dataset_kwargs:
  data_files: {{test: "{folder}/test.jsonl"}}
test_split: test
output_type: loglikelihood
doc_to_text: "{{{{question}}}}"
doc_to_target: " {{{{choices[gold]}}}}"
metric_list:
  - {{metric: perplexity, aggregation: perplexity, higher_is_better: false}}
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
"""

GROUP = """
group: tiny_group
task:
  - tiny_texts
  - task: tiny_choice
    num_fewshot: 2
  - group: inner
    task: [tiny_written]
  - task: inline
    dataset_path: json
    dataset_kwargs: {{data_files: {{test: "{folder}/test.jsonl"}}}}
    test_split: test
    output_type: loglikelihood_rolling
    doc_to_text: ""
    doc_to_target: "{{{{question}}}}"
"""


def write_definitions(folder: Path) -> Path:
    """Write the definitions and their data into `folder`; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    things = itertools.product(("the sky", "a cat", "a dog", "the fish"), ("?", ". ?", "two ?"))
    docs = [
        {
            "question": f"what is the colour of {thing} {end}",
            "choices": ["red", "blue dog", "green"],
            "gold": index * 7 % 3,
        }
        for index, (thing, end) in enumerate(things)
    ]
    for name, part in {"train": docs[:4], "validation": docs[4:6], "test": docs[6:]}.items():
        lines = "".join(json.dumps(doc) + "\n" for doc in part)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    for name, text in {
        "choice": CHOICE,
        "written": WRITTEN,
        "texts": TEXTS,
        "last_word": LAST_WORD,
        "group": GROUP,
    }.items():
        write_definition(folder, name, text.format(folder=folder))
    return folder


def write_definition(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def own_run(
    model: Any,
    tokenizer: Any,
    folder: Path,
    name: str,
    *,
    shots: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Return what the harness itself finds, asking its own model class one request at a time.

    `options` are more of `simple_evaluate`.
    """
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    # What it tells of the machine takes eleven processes, and no number depends on it.
    with patch("lm_eval.evaluator.add_env_info"):
        found: dict[str, Any] = lm_eval.simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1),
            tasks=[name],
            num_fewshot=shots,
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            bootstrap_iters=DRAWS,
            log_samples=True,
            **options,
        )
    return found


def own_metrics(run: dict[str, Any], name: str) -> dict[str, float | None]:
    """Return the metrics of a run, by `metric,filter`."""
    return {
        key: None if value == "N/A" else float(value)
        for key, value in run["results"][name].items()
        if "," in key
    }
