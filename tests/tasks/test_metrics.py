"""What each metric gives for answers that were worked out by hand."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import depthprune
from depthprune.base.errors import MetricError
from depthprune.tasks.metrics import METRICS, corpus_perplexity, make_scorer
from depthprune.tasks.metrics.answers import Anls, ExactMatch, VqaAccuracy, edit_distance
from depthprune.tasks.metrics.choice import ChoiceLetter, ChoiceLikelihood, parse_choice
from depthprune.tasks.metrics.likelihood import Perplexity, TokenAccuracy
from depthprune.tasks.metrics.words import CONTRACTIONS, normalise_answer
from tests.tasks.samples import sample


class TestNormaliseAnswer:
    @pytest.mark.parametrize(
        ("raw", "normal"),
        [
            ("Yes", "yes"),
            (" a\tred\ncar ", "red car"),
            ("the dog and an apple", "dog and apple"),
            ("none", "0"),
            ("Ten", "10"),
            ("two dogs.", "2 dogs"),
            ("3.5", "3.5"),
            ("U.S.", "us"),
            ("1,000", "1000"),
            # The comma in the number takes all other punctuation out without a blank.
            ("1,000 (about)-ish", "1000 aboutish"),
            ("black-white", "black white"),
            ("black - white", "black white"),
            ("yes!", "yes"),
            ("what's up?", "what's up"),
            ("dont", "don't"),
            ("youd've", "you'd've"),
            ("oclock", "o'clock"),
            ("10:30", "10:30"),
            ("", ""),
        ],
    )
    def test_is_what_the_official_evaluation_compares(self, raw: str, normal: str) -> None:
        assert normalise_answer(raw) == normal

    def test_contractions_are_mended_wherever_one_apostrophe_is_missing(self) -> None:
        assert CONTRACTIONS["shouldnt've"] == CONTRACTIONS["shouldn'tve"] == "shouldn't've"

    def test_the_official_table_has_one_entry_the_wrong_way_round(self) -> None:
        assert CONTRACTIONS["somebody'd"] == "somebodyd"

    @given(st.text(max_size=30))
    def test_leaves_neither_blanks_at_the_ends_nor_articles(self, text: str) -> None:
        words = normalise_answer(text).split(" ")
        assert words == [""] or not {"", "a", "an", "the"} & set(words)


class TestVqaAccuracy:
    @pytest.mark.parametrize(
        ("agreeing", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)]
    )
    def test_ten_annotators_of_whom_some_agree(self, agreeing: int, score: float) -> None:
        references = ["red"] * agreeing + [f"other {i}" for i in range(10 - agreeing)]
        assert VqaAccuracy().score(sample(*references), "Red.") == pytest.approx(score)

    def test_the_references_are_normalised_too(self) -> None:
        assert VqaAccuracy().score(sample(*["The Two dogs!"] * 10), "2 dogs") == 1.0

    @pytest.mark.parametrize(
        ("references", "score"),
        [
            (["red"], 1.0),
            (["blue"], 0.0),
            (["red", "red"], 1.0),
            (["red", "blue"], 0.5),
            (["red", "red", "red"], 1.0),
            (["red", "blue", "blue"], 1 / 3),
            (["red"] * 4, 1.0),
            (["red"] * 3 + ["blue"] * 2, (3 * 2 / 3 + 2) / 5),
        ],
    )
    def test_fewer_annotators(self, references: list[str], score: float) -> None:
        assert VqaAccuracy().score(sample(*references), "red") == pytest.approx(score)

    @given(st.lists(st.sampled_from(["red", "blue", "green"]), min_size=2, max_size=12))
    def test_is_the_mean_over_the_annotators_left_out(self, references: list[str]) -> None:
        enough = min(3, len(references) - 1)
        earned = []
        for left_out in range(len(references)):
            others = references[:left_out] + references[left_out + 1 :]
            earned.append(min(1.0, others.count("red") / enough))
        expected = sum(earned) / len(earned)
        assert VqaAccuracy().score(sample(*references), "red") == pytest.approx(expected)


class TestAnls:
    @pytest.mark.parametrize(
        ("references", "answer", "score"),
        [
            (["CAFE"], "cafe", 1.0),
            (["cafe"], " cafe \n", 1.0),
            (["two words"], "two   words", 1.0),
            (["cafe"], "cafes", 0.8),
            (["cafe", "coffee"], "coffe", 5 / 6),
            (["ab"], "ax", 0.5),  # exactly at the threshold: counts, as in the challenge's script
            (["abc"], "axx", 0.0),
            (["abc"], "", 0.0),
            ([""], "", 1.0),
        ],
    )
    def test_hand_worked(self, references: list[str], answer: str, score: float) -> None:
        assert Anls().score(sample(*references), answer) == pytest.approx(score)

    def test_the_threshold_is_an_option(self) -> None:
        assert Anls(threshold=0.9).score(sample("cafe"), "cafes") == 0.0

    @pytest.mark.parametrize(
        ("first", "second", "edits"),
        [("kitten", "sitting", 3), ("flaw", "lawn", 2), ("", "abc", 3), ("same", "same", 0)],
    )
    def test_edit_distance(self, first: str, second: str, edits: int) -> None:
        assert edit_distance(first, second) == edits

    @given(st.text("ab", max_size=5), st.text("ab", max_size=5))
    def test_edit_distance_is_its_definition(self, first: str, second: str) -> None:
        def slow(left: str, right: str) -> int:
            if not left or not right:
                return len(left) + len(right)
            return min(
                slow(left[1:], right) + 1,
                slow(left, right[1:]) + 1,
                slow(left[1:], right[1:]) + (left[0] != right[0]),
            )

        assert edit_distance(first, second) == slow(first, second)


class TestExactMatch:
    def test_normalises_by_default(self) -> None:
        assert ExactMatch().score(sample("2"), "Two.") == 1.0

    def test_any_reference_will_do(self) -> None:
        assert ExactMatch().score(sample("3", "2"), "2") == 1.0

    def test_a_part_is_not_enough(self) -> None:
        assert ExactMatch().score(sample("12"), "1") == 0.0

    def test_can_be_literal(self) -> None:
        literal = ExactMatch(normalised=False)
        assert [literal.score(sample("2"), answer) for answer in ("Two.", " 2\n")] == [0.0, 1.0]


ANIMALS = ("a cat", "a dog", "a hot dog")


class TestChoiceLetter:
    @pytest.mark.parametrize(
        "answer",
        [
            "B",
            "b",
            "(B)",
            "B.",
            " B)\n",
            "B: a dog",
            "B. It has four legs, unlike A.",
            "(B) a dog",
            "**B**",
            "The answer is B",
            "The answer is (B).",
            "Answer: B",
            "the correct option is B.",
            "I choose option B",
            "It must be (B) because of the tail",
            "a dog",
            "A dog.",
            "I think it is a dog",
        ],
    )
    def test_understands(self, answer: str) -> None:
        assert parse_choice(answer, ANIMALS) == "B"

    @pytest.mark.parametrize(
        "answer",
        [
            "",
            "D",
            "E.",
            "a bird",
            "a cat and a dog",
            "The answer is a bird",
            "either (A) or (B)",
            "Z)",
        ],
    )
    def test_takes_nothing_from_an_unclear_answer(self, answer: str) -> None:
        assert parse_choice(answer, ANIMALS) is None

    @pytest.mark.parametrize(
        ("answer", "letter"),
        [
            ("Answer: A cat is here", "B"),
            ("The answer is A dog.", "A"),
            ("The answer is A bird", None),
            ("Answer: A", "A"),
            ("Answer: A\nBecause it barks", "A"),
            ("Answer: (A) dog", "A"),
            ("Answer: A. cat", "A"),
            ("Answer: A - dog", "A"),
            ("Option A is correct", "A"),
            ("The answer is A because it barks", "A"),
            ("The answer is B because it purrs", "B"),
        ],
    )
    def test_an_article_is_no_letter(self, answer: str, letter: str | None) -> None:
        assert parse_choice(answer, ("dog", "cat")) == letter

    def test_an_option_within_a_longer_option_is_not_meant(self) -> None:
        assert parse_choice("It is a hot dog", ANIMALS) == "C"

    def test_a_letter_is_a_letter_even_among_options_that_are_letters(self) -> None:
        assert parse_choice("B", ("B", "A")) == "B"

    def test_scores_against_the_right_letter(self) -> None:
        question = sample("B", choices=ANIMALS)
        assert [ChoiceLetter().score(question, a) for a in ("(B)", "A", "?")] == [1.0, 0.0, 0.0]

    def test_an_open_question_is_matched_exactly(self) -> None:
        assert ChoiceLetter().score(sample("24"), "24.") == 1.0


class TestChoiceLikelihood:
    def test_scores_the_letter_given(self) -> None:
        question = sample("B", choices=ANIMALS)
        assert [ChoiceLikelihood().score(question, a) for a in ("B", "C")] == [1.0, 0.0]


def reading(nll: float, tokens: int, correct: int = 0) -> str:
    return json.dumps({"nll": nll, "tokens": tokens, "correct": correct})


class TestReading:
    def test_perplexity_scores_the_mean_probability_of_a_token(self) -> None:
        answer = reading(nll=3 * math.log(4), tokens=3)
        assert Perplexity().score(sample("text"), answer) == pytest.approx(0.25)

    def test_corpus_perplexity_weighs_tokens_not_texts(self) -> None:
        answers = [reading(nll=math.log(2), tokens=1), reading(nll=3 * math.log(8), tokens=3)]
        assert corpus_perplexity(answers) == pytest.approx(2 ** (10 / 4))

    def test_corpus_perplexity_of_a_hopeless_model_is_infinite(self) -> None:
        assert corpus_perplexity([reading(nll=1e9, tokens=1)]) == math.inf

    def test_corpus_perplexity_of_nothing_is_refused(self) -> None:
        with pytest.raises(MetricError, match="no text"):
            corpus_perplexity([])

    def test_token_accuracy(self) -> None:
        answer = reading(nll=1.0, tokens=4, correct=3)
        assert TokenAccuracy().score(sample("text"), answer) == 0.75

    @pytest.mark.parametrize(
        "answer", ["a dog", "3", "{}", reading(1.0, 0), '{"nll": NaN, "tokens": 1, "correct": 0}']
    )
    def test_other_answers_are_refused(self, answer: str) -> None:
        with pytest.raises(MetricError):
            Perplexity().score(sample("text"), answer)


class TestMakeScorer:
    @pytest.mark.parametrize("metric", METRICS)
    def test_every_metric_scores_a_wrong_answer_lower_than_a_right_one(self, metric: str) -> None:
        mode = METRICS[metric][1]
        right, wrong = {
            "generate": ("A", "B"),
            "choose": ("A", "B"),
            "read": (reading(1.0, 2, 2), reading(2.0, 2, 1)),
        }[mode]
        samples = [sample("A", choices="AB" if "choice" in metric else ()), sample("C c", "D")]
        scorer = make_scorer(metric, {}, samples, mode)
        good, bad = scorer.score_many([samples[0]] * 2, [right, wrong])
        assert good > bad

    def test_an_unknown_metric_names_the_known_and_the_close_ones(self) -> None:
        with pytest.raises(MetricError, match="did you mean vqa_accuracy") as error:
            make_scorer("vqa_acuracy", {}, [], "generate")
        assert "exact_match" in str(error.value)

    def test_an_unknown_option_names_the_known_ones(self) -> None:
        with pytest.raises(MetricError, match="no option 'treshold'") as error:
            make_scorer("anls", {"treshold": 0.3}, [], "generate")
        assert "did you mean threshold" in str(error.value)

    @pytest.mark.parametrize(
        ("metric", "options"),
        [
            ("anls", {"threshold": "high"}),
            ("anls", {"threshold": True}),
            ("exact_match", {"normalised": "no"}),
            ("cider_d", {"tokens": 3}),
        ],
    )
    def test_an_option_of_the_wrong_type(self, metric: str, options: dict[str, object]) -> None:
        with pytest.raises(MetricError, match="cannot be"):
            make_scorer(metric, options, [], "generate")

    def test_a_whole_number_is_a_number(self) -> None:
        assert make_scorer("anls", {"threshold": 1}, [], "generate").score(sample("a"), "b") == 0

    def test_the_samples_are_no_option(self) -> None:
        with pytest.raises(MetricError, match="no option 'samples'"):
            make_scorer("cider_d", {"samples": []}, [], "generate")

    def test_a_metric_of_another_way_of_answering_is_refused(self) -> None:
        with pytest.raises(MetricError, match="scores answers of mode `read`"):
            make_scorer("perplexity", {}, [], "generate")


class TestMetric:
    """`depthprune.metric` scores single answers."""

    def test_scores_the_letter_of_a_multiple_choice_answer(self) -> None:
        letter = depthprune.metric("choice_letter")
        assert [letter.score(a, ["B"], choices=ANIMALS) for a in ("(B)", "A")] == [1.0, 0.0]

    def test_one_reference_may_be_a_text_and_hyphens_are_underscores(self) -> None:
        assert depthprune.metric("exact-match").score("Two.", "2") == 1.0

    def test_takes_the_options_of_the_metric(self) -> None:
        assert depthprune.metric("anls", threshold=0.9).score("cafes", "cafe") == 0.0

    def test_knows_its_version(self) -> None:
        assert depthprune.metric("anls").version == METRICS["anls"].version

    @pytest.mark.parametrize("name", [name for name in METRICS if name != "cider_d"])
    def test_every_metric_but_one_needs_no_samples(self, name: str) -> None:
        assert depthprune.metric(name).name == name

    @pytest.mark.parametrize(
        ("name", "options", "what"),
        [
            ("cider_d", {}, "cannot score an answer alone"),
            ("exact", {}, "no metric 'exact'"),
            ("anls", {"treshold": 1}, "no option 'treshold'"),
        ],
    )
    def test_what_cannot_be_had(self, name: str, options: dict[str, object], what: str) -> None:
        with pytest.raises(MetricError, match=what):
            depthprune.metric(name, **options)

    @pytest.mark.parametrize(
        ("answer", "references", "choices"),
        [(None, ["a"], None), ("a", [1], None), ("a", ["A"], "ab"), ("a", ["A"], [1, 2])],
    )
    def test_what_is_no_text(self, answer: object, references: object, choices: object) -> None:
        with pytest.raises(MetricError, match="scores texts"):
            depthprune.metric("choice_letter").score(answer, references, choices=choices)  # type: ignore[arg-type]
