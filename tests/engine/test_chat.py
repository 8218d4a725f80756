"""Chat templates: found wherever they lie, rendered the same on every day, and what ends a turn."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError, TaskError
from depthprune.base.prompting import PromptSettings
from depthprune.blocks.models import load_model
from depthprune.engine import chat
from depthprune.engine.generate import end_tokens
from depthprune.engine.inputs import prompt_of
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.tasks.demo import MODEL_PATH
from depthprune.tasks.task import Sample
from depthprune.testing import tiny_models as tiny
from tests.blocks.hub_folders import put_chat_template

TASK = tiny.split_of([]).task
QUESTION = Sample("validation/0", "a cat ?")
PICTURE = replace(QUESTION, images=(tiny.PlainPicture((255, 0, 0), []),))
TEMPLATE = (MODEL_PATH / "chat_template.jinja").read_text(encoding="utf-8")


def words(processor: Any, settings: PromptSettings = PromptSettings()) -> str:  # noqa: B008
    return prompt_of(processor, TASK, QUESTION, settings).text


def tokenizer(template: str) -> Any:
    made = tiny.word_tokenizer()
    made.chat_template = template
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo model without its chat template."""
    copy = Path(shutil.copytree(MODEL_PATH, tmp_path / "model"))
    (copy / "chat_template.jinja").unlink()
    return copy


PLACES = (
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates",
    "tokenizer_config.json",
    "tokenizer_config.json:named",
    "processor_config.json",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_template_is_found_wherever_it_lies(folder: Path, place: str) -> None:
    put_chat_template(folder, TEMPLATE, place)
    processor = load_model(folder, device="cpu").processor
    prompt = prompt_of(processor, TASK, PICTURE)
    assert prompt.text == "<s><|user|><image>a cat ?<|assistant|>"
    assert prompt.is_chat


@pytest.mark.parametrize("place", PLACES[:5])
def test_so_is_that_of_a_text_model(tmp_path: Path, place: str) -> None:
    tiny.llama(blocks=2).save_pretrained(tmp_path)
    tiny.word_tokenizer().save_pretrained(tmp_path)
    put_chat_template(tmp_path, tiny.CHAT, place)
    assert words(load_model(tmp_path, device="cpu").processor) == "<user> a cat ? <answer> "


def test_a_model_without_any_is_asked_plainly_and_a_chat_model_warned_of(folder: Path) -> None:
    loaded = load_model(folder, device="cpu")
    assert words(loaded.processor) == "a cat ?"
    (remark,) = chat.prompt_remarks(loaded, [TASK])
    assert "has no chat template" in remark
    plain = replace(loaded, name="base", processor=tiny.word_tokenizer())
    assert chat.prompt_remarks(plain, [TASK]) == []
    assert chat.prompt_remarks(replace(plain, name="llama-2-7b-Instruct"), [TASK])
    asked = replace(loaded, prompt=PromptSettings(chat_template="none"))
    assert chat.prompt_remarks(asked, [TASK]) == []


def test_templates_of_which_none_is_the_default_are_named() -> None:
    made = tiny.word_tokenizer()
    made.chat_template = {"rag": tiny.CHAT, "tool_use": tiny.CHAT}
    loaded = replace(load_model(MODEL_PATH, device="cpu"), name="base", processor=made)
    assert words(made) == "a cat ?"
    (remark,) = chat.prompt_remarks(loaded, [TASK])
    assert "(rag, tool_use) and none is called default" in remark


class TestSettings:
    def test_none_leaves_the_template_out_and_a_text_replaces_it(self) -> None:
        model = tiny.word_tokenizer(chat=True)
        assert words(model, PromptSettings("none")) == "a cat ?"
        assert words(model, PromptSettings("auto")) == "<user> a cat ? <answer> "
        other = PromptSettings("{{ messages[0]['content'] }} !")
        assert words(model, other) == "a cat ? !"

    def test_a_system_prompt_is_a_turn_or_stands_in_front(self) -> None:
        system = PromptSettings(system_prompt="is it red ?")
        assert words(tiny.word_tokenizer(), system) == "is it red ?\n\na cat ?"
        model = tokenizer("{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}")
        assert words(model, system) == "[system] is it red ? [user] a cat ? "

    def test_a_template_that_drops_the_system_prompt_is_refused(self) -> None:
        model = tokenizer("{{ messages[-1]['content'] }}")
        assert words(model) == "a cat ?"
        with pytest.raises(TaskError, match="leaves out") as caught:
            words(model, PromptSettings(system_prompt="is it red ?"))
        assert "validation/0" in str(caught.value)

    @pytest.mark.parametrize("name", ["enable_thinking", "thinking"])
    def test_thinking_is_off_until_it_is_asked_for(self, name: str) -> None:
        template = "{{ messages[0]['content'] }}{% if " + name + " %} think{% endif %}"
        assert words(tokenizer(template)) == "a cat ?"
        assert words(tokenizer(template), PromptSettings(thinking=True)) == "a cat ? think"

    def test_a_template_that_asks_the_clock_hears_one_day(self) -> None:
        clock = tokenizer("{{ strftime_now('%d %B %Y') }} {{ messages[0]['content'] }}")
        llama = tokenizer("{{ date_string or 'never' }} {{ messages[0]['content'] }}")
        assert words(clock) == "26 July 2024 a cat ?"
        assert words(llama) == "26 Jul 2024 a cat ?"
        assert words(clock, PromptSettings(date="2026-01-02")) == "02 January 2026 a cat ?"
        assert words(llama, PromptSettings(date="2026-01-02")) == "02 Jan 2026 a cat ?"

    def test_a_day_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(DepthpruneError, match="is not a date"):
            PromptSettings(date="2026-02-30")

    def test_only_what_is_unusual_is_told_and_tells_apart(self) -> None:
        assert PromptSettings().text == ""
        unusual = [
            PromptSettings("auto"),
            PromptSettings("none"),
            PromptSettings("a"),
            PromptSettings("b"),
            PromptSettings(system_prompt="a"),
            PromptSettings(system_prompt="b"),
            PromptSettings(thinking=True),
            PromptSettings(date="2026-01-02"),
        ]
        assert len({settings.text for settings in unusual} | {""}) == len(unusual) + 1

    def test_measurements_of_other_prompts_are_kept_apart(self) -> None:
        loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer(chat=True))
        usual = ReferenceEvaluator(loaded).settings
        asked = replace(loaded, prompt=PromptSettings("none"))
        assert ReferenceEvaluator(asked).settings == f"{usual} chat_template=none"


class TestForms:
    """Some templates read a turn as a text, some as a list of parts, whatever the model reads."""

    PARTS = (
        "{% for m in messages %}{% for part in m['content'] %}{% if part['type'] == 'image' %}"
        "<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %} !"
    )
    TEXT = "{% for m in messages %}{{ m['content'] }}{% endfor %} !"
    DEAF = (
        "{% for m in messages %}{% if m['content'] is string %}{{ m['content'] }}{% else %}"
        "{% for part in m['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
        "{% endif %}{% endfor %}{% endif %}{% endfor %} !"
    )

    @pytest.mark.parametrize("template", [PARTS, TEXT, DEAF])
    def test_a_vision_language_model_sees_its_picture(self, template: str) -> None:
        processor = tiny.demo_processor()
        processor.chat_template = template
        assert prompt_of(processor, TASK, PICTURE).text == "<image>a cat ? !"

    @pytest.mark.parametrize("template", [PARTS, TEXT, DEAF])
    def test_a_text_model_reads_the_question(self, template: str) -> None:
        assert words(tokenizer(template)) == "a cat ? !"


class TestEnds:
    def test_an_end_that_only_the_tokenizer_names_counts(self, folder: Path) -> None:
        path = folder / "generation_config.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "eos_token_id": 0}))
        loaded = load_model(folder, device="cpu")
        assert end_tokens(loaded.model, loaded.processor) == (0, 2)

    def test_a_template_that_cannot_be_asked_names_none(self) -> None:
        assert chat.end_of_turn(tokenizer("{{ raise_exception('no') }}")) == ()
        assert chat.end_of_turn(tiny.word_tokenizer()) == ()
        assert chat.end_of_turn(tokenizer("{{ messages[-1]['content'] }}</s>")) == (2,)
        last = "{% for m in messages %}{{ m['content'] }}\n</s>{% endfor %}"
        assert chat.end_of_turn(tokenizer(last)) == (2,)
