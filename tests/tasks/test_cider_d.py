"""CIDEr-D agrees with pycocoevalcap and says which tokens it used."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Sequence

import pytest

from depthprune.base.errors import MetricError, MissingDependencyError
from depthprune.tasks.metrics import captions
from depthprune.tasks.metrics.captions import VARIABLE, CaptionTokens, CiderD
from depthprune.tasks.task import Sample

KINDS = [
    "treebank",
    pytest.param(
        "ptb", marks=pytest.mark.skipif(not shutil.which("java"), reason="there is no Java")
    ),
]
WORDS = ["a", "the", "man,", "dog", "cat.", "on", "two", "it's", "(small)", "don't", "white-haired"]


def random_captions(count: int, seed: int, longest: int = 12) -> list[str]:
    chosen = random.Random(seed)
    return [
        " ".join(chosen.choices(WORDS, k=chosen.randint(1, longest))).capitalize() + " ."
        for _ in range(count)
    ]


def split(count: int = 12) -> list[Sample]:
    texts = random_captions(5 * count, seed=1)
    return [Sample(f"v/{i}", "", references=tuple(texts[5 * i : 5 * i + 5])) for i in range(count)]


def pycocoevalcap_scores(
    samples: Sequence[Sample], answers: Sequence[str], tokens: CaptionTokens
) -> list[float]:
    cider = pytest.importorskip("pycocoevalcap.cider.cider")
    tokens.prepare([*answers, *(reference for s in samples for reference in s.references)])
    references = {s.id: [" ".join(tokens[r]) for r in s.references] for s in samples}
    given = {s.id: [" ".join(tokens[a])] for s, a in zip(samples, answers, strict=True)}
    _, scores = cider.Cider().compute_score(references, given)
    return [float(score) for score in scores]


@pytest.mark.parametrize("kind", KINDS)
def test_equals_pycocoevalcap(kind: str) -> None:
    samples = split()
    answers = [*random_captions(9, seed=2), samples[9].references[0], "", "unheard of words"]
    scores = CiderD(samples, tokens=kind).score_many(samples, answers)
    expected = pycocoevalcap_scores(samples, answers, CaptionTokens(kind))
    assert scores == pytest.approx(expected, abs=1e-12)
    assert max(scores) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_does_not_depend_on_the_slice(kind: str) -> None:
    samples, answers = split(), random_captions(12, seed=3)
    scorer = CiderD(samples, tokens=kind)
    together = scorer.score_many(samples, answers)
    fresh = CiderD(samples, tokens=kind)
    assert [fresh.score(samples[5], answers[5])] == together[5:6]
    assert scorer.score_many(samples[3:6], answers[3:6]) == together[3:6]


def test_java_tokens_are_those_of_pycocoevalcap() -> None:
    ptb = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    if not shutil.which("java"):
        pytest.skip("there is no Java")
    texts = [*random_captions(20, seed=4), 'U.S. "quoted" [text] {here}; 3.5 -- isn\'t it...']
    expected = ptb.PTBTokenizer().tokenize({i: [{"caption": t}] for i, t in enumerate(texts)})
    tokens = CaptionTokens("ptb")
    tokens.prepare(texts)
    assert [" ".join(tokens[text]) for text in texts] == [expected[i][0] for i in range(len(texts))]


def test_a_perfect_caption_scores_one_with_a_scale_of_a_tenth() -> None:
    samples = [
        Sample("v/0", "", references=("a red ring above a blue star",)),
        Sample("v/1", "", references=("a green cross left of a white heart",)),
    ]
    scorer = CiderD(samples, scale=0.1, tokens="treebank")
    assert scorer.score(samples[0], "A red ring above a blue star.") == pytest.approx(1.0)


def test_a_caption_of_words_that_every_caption_has_scores_nothing() -> None:
    samples = [Sample("v/0", "", references=("a red",)), Sample("v/1", "", references=("a blue",))]
    assert CiderD(samples, tokens="treebank").score(samples[0], "a") == 0.0


def test_a_sample_without_captions_scores_nothing() -> None:
    assert CiderD(split(), tokens="treebank").score(Sample("v/x", ""), "a dog") == 0.0


def test_a_single_sample_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "depthprune"):
        CiderD(split(1), tokens="treebank")
    assert "every caption scores 0" in caplog.text


class TestCaptionTokens:
    def test_are_lower_case_without_punctuation(self) -> None:
        words = CaptionTokens("treebank")["A man's dog, isn't it?\nYes -- \"it\" is..."]
        assert " ".join(words) == "a man 's dog is n't it yes it is"

    def test_brackets_stay_as_in_the_published_figures(self) -> None:
        assert CaptionTokens("treebank")["a (small) dog"] == ("a", "-lrb-", "small", "-rrb-", "dog")

    def test_the_scorer_says_which(self) -> None:
        assert CiderD(split(), tokens="treebank").name == "cider_d (nltk Treebank tokens)"

    def test_the_environment_can_force_a_kind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, "treebank")
        assert CaptionTokens().name == "nltk Treebank tokens"

    @pytest.mark.parametrize(("java", "name"), [(True, "PTB tokens by Java"), (False, "nltk")])
    def test_java_is_taken_where_it_is(
        self, java: bool, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)
        monkeypatch.setattr(captions, "_has_ptb", lambda: java)
        assert CaptionTokens().name.startswith(name)

    def test_without_java_the_java_tokens_cannot_be_had(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(captions, "_has_ptb", lambda: False)
        with pytest.raises(MissingDependencyError, match="needs Java"):
            CaptionTokens("ptb").prepare(["a dog"])

    def test_an_unknown_kind_is_refused(self) -> None:
        with pytest.raises(MetricError, match="no tokenizer 'spacy'"):
            CaptionTokens("spacy")
