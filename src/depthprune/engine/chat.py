"""A model's chat template: where it lies, what it writes, and the token that ends a turn."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import TaskError, option
from depthprune.base.prompting import OWN, USUAL_PROMPTS, PromptSettings
from depthprune.tasks.lm_eval.source import LmEvalSource
from depthprune.tasks.task import Task

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel

Turn = Mapping[str, Any]
"""A role and what is said: a text, or a list of parts (`messages` of a task)."""

DATE_FORMAT = "%d %b %Y"
"""How Llama's templates write a date, which asks for no format."""


def tokenizer_of(processor: Any) -> Any:
    """Return the tokenizer: the processor's, or the processor itself for a text model."""
    return getattr(processor, "tokenizer", processor)


def chat_template(processor: Any, settings: PromptSettings = USUAL_PROMPTS) -> str:
    """Return the template that is used: that of the settings, or the model's own.

    Where several are named it is the one called `default`; empty where there is none.
    """
    if settings.template is not None:
        return settings.template
    found = getattr(processor, "chat_template", None)
    if isinstance(found, Mapping):
        only = next(iter(found.values())) if len(found) == 1 else None
        found = found.get("default", only)
    return found or ""


def prompt_remarks(loaded: LoadedModel, tasks: Iterable[Task]) -> list[str]:
    """Return what a user should know about how tasks are put to a model, usually nothing."""
    if loaded.prompt.chat_template is not None and loaded.prompt.chat_template != OWN:
        return []
    has_template = bool(chat_template(loaded.processor))
    by_harness = {isinstance(task.source, LmEvalSource) for task in tasks}
    if True in by_harness and has_template and loaded.prompt.chat_template is None:
        return [
            "tasks of the lm-evaluation-harness are asked without the model's chat template, as "
            f"the harness does by default; {option('chat_template', 'auto')} applies it"
        ]
    named = getattr(loaded.processor, "chat_template", None)
    if False in by_harness and not has_template and isinstance(named, Mapping) and named:
        return [
            f"{loaded.name} has several chat templates ({', '.join(named)}) and none is called "
            "default: questions are asked as plain text; give one by "
            f"{option('chat_template', 'FILE')}"
        ]
    tokens = " ".join(getattr(tokenizer_of(loaded.processor), "all_special_tokens", ()))
    instructed = _CHAT_NAME.search(loaded.name) or _CHAT_TOKEN.search(tokens)
    if False in by_harness and not has_template and instructed:
        return [
            f"{loaded.name} has no chat template, though it looks like a model for chats: "
            "questions are asked as plain text; give a template by "
            f"{option('chat_template', 'FILE')}"
        ]
    return []


def apply_template(
    processor: Any, template: str, turns: Sequence[Turn], settings: PromptSettings, **options: Any
) -> str:
    """Return what a template writes for some turns.

    The clock stands still, and thinking is switched where the template knows a switch.

    Args:
        processor: the model's, or its tokenizer.
        template: as text.
        turns: from the system prompt on.
        settings: the date, and whether the model thinks.
        options: as for `apply_chat_template` of transformers.
    """
    day = date.fromisoformat(settings.date)
    offers = {
        "enable_thinking": settings.thinking,
        "thinking": settings.thinking,
        "date_string": day.strftime(DATE_FORMAT),
    }
    code = " ".join(_CODE.findall(template))
    known = {name: value for name, value in offers.items() if re.search(rf"\b{name}\b", code)}
    if "strftime_now" in code:
        template = _clock(day) + template
    written: str = processor.apply_chat_template(
        list(turns), chat_template=template, tokenize=False, **known, **options
    )
    return written


def prompt_text(
    processor: Any,
    template: str,
    turns: Sequence[Turn],
    settings: PromptSettings,
    placeholder: str = "",
) -> str:
    """Return the turns in the words of a template, up to where the answer begins.

    A template reads a turn as a text or as a list of parts, and some know one of the two only: what
    is usual for this kind of model is tried first.

    Args:
        processor: the model's, or its tokenizer.
        template: as text.
        turns: whose content is a list of parts.
        settings: see `apply_template`.
        placeholder: what stands for a picture in a text.

    Raises:
        TaskError: the template refuses the turns, or leaves out what is said.
    """
    texts: list[Turn] = [
        {**turn, "content": in_words(turn["content"], placeholder)} for turn in turns
    ]
    forms = [list(turns), texts]
    if tokenizer_of(processor) is processor:
        forms.reverse()
    rendered: list[str] = []
    failure: Exception | None = None
    for form in forms:
        try:
            text = apply_template(processor, template, form, settings, add_generation_prompt=True)
            rendered.append(text)
            bare = _without_pictures(form)
            hides = bare != form and text == apply_template(
                processor, template, bare, settings, add_generation_prompt=True
            )
            if _says(text, turns) and not hides:
                return text
        except Exception as error:  # A template is a program of its own and may raise anything.
            failure = failure or error
    if len(turns) == 1 and _without_pictures(turns) == list(turns) and rendered:
        return rendered[0]  # A template that asks something of its own has its reasons.
    if failure is not None:
        raise TaskError(f"the model's chat template refuses it: {failure}") from failure
    raise TaskError(
        "the model's chat template leaves out the question, a picture or the system prompt",
        mend=f"give another template by {option('chat_template', 'FILE')}, or none, or leave out "
        f"{option('system_prompt')}",
    )


def in_words(content: Any, placeholder: str) -> str:
    """Return the parts of a turn as one text, in which a placeholder stands for every picture."""
    if isinstance(content, str):
        return content
    words = {"image": placeholder}
    return "".join(words.get(part["type"], part.get("text", "")) for part in content)


def prompted(task: Task, processor: Any, settings: PromptSettings) -> Task:
    """Return a task; one of the lm-evaluation-harness asks as the settings say."""
    if not isinstance(task.source, LmEvalSource):
        return task
    chat = harness_chat(processor, settings)
    return replace(
        task, source=replace(task.source, chat=chat, system_prompt=settings.system_prompt)
    )


def harness_chat(processor: Any, settings: PromptSettings) -> Callable[..., str] | None:
    """Return what writes the turns of the lm-evaluation-harness; None where it asks without.

    Raises:
        TaskError: a template is asked for, and the model has none.
    """
    if not settings.for_harness:
        return None
    template = chat_template(processor, settings)
    if not template:
        raise TaskError(
            "the model has no chat template", option="chat_template", mend="leave it out"
        )

    def write(turns: Sequence[Turn], add_generation_prompt: bool = True) -> str:
        options = {
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
        }
        parts = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
        failure: Exception | None = None
        for form in (turns, parts):
            try:
                text = apply_template(processor, template, form, settings, **options)
                if _says(text, parts):
                    return text
            except Exception as error:  # A template is a program of its own.
                failure = failure or error
        raise TaskError(f"the model's chat template refuses it: {failure or 'it drops a turn'}")

    return write


def end_of_turn(processor: Any) -> tuple[int, ...]:
    """Return the special token that the model's own template writes after an answer, if any."""
    template, tokenizer = chat_template(processor), tokenizer_of(processor)
    if not template:
        return ()
    said = [("user", "?"), ("assistant", _MARK)]
    for parts in (tokenizer is not processor, tokenizer is processor):
        turns = [
            {"role": role, "content": [{"type": "text", "text": words}] if parts else words}
            for role, words in said
        ]
        try:
            text = apply_template(processor, template, turns, USUAL_PROMPTS)
        except Exception:  # A template that cannot be asked says nothing about ends.
            continue
        if _MARK not in text:
            continue
        after = tokenizer(text.rpartition(_MARK)[2], add_special_tokens=False)["input_ids"]
        special = {*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", ())}
        return tuple(token for token in after if token in special)[:1]
    return ()


def _clock(day: date) -> str:
    """Return the clock of a template, `strftime_now`, standing still: values only can be passed."""
    codes = {f"%{code}": day.strftime(f"%{code}") for code in "aAbBcdHIjmMpSUwWxXyYf"}
    codes |= {f"%-{code}": codes[f"%{code}"].lstrip("0") or "0" for code in "dHIjmMSUWy"}
    codes["%%"] = "%"
    replaced = "".join(f" | replace('{code}', '{text}')" for code, text in codes.items())
    # The line break behind it is trimmed: the template begins as if nothing stood before.
    return f"{{% macro strftime_now(format) %}}{{{{ format{replaced} }}}}{{% endmacro %}}\n"


_MARK = "zqxj"

_CODE = re.compile(r"\{[{%].*?[}%]\}", re.DOTALL)

_CHAT_NAME = re.compile(r"instruct|chat|[-_]it\b|-it-|\bsft\b|\bdpo\b", re.IGNORECASE)

_CHAT_TOKEN = re.compile(
    r"<\|(im_start|im_end|start_header_id|eot_id|user|assistant|end_of_turn)\|>"
    r"|<(start_of_turn|end_of_turn|end_of_utterance)>|\[/?INST\]"
)


def _says(text: str, turns: Sequence[Turn]) -> bool:
    """Return whether a rendered prompt holds all that is said, and no list written out as such."""
    said = (
        part["text"].strip() for turn in turns for part in turn["content"] if part["type"] == "text"
    )
    return all(words in text for words in said) and not re.search(r"\{['\"]type['\"]:", text)


def _without_pictures(turns: Sequence[Turn]) -> list[Turn]:
    return [
        turn
        if isinstance(turn["content"], str)
        else {**turn, "content": [part for part in turn["content"] if part["type"] != "image"]}
        for turn in turns
    ]


def refuse_pictures(model: str, processor: Any, tasks: Sequence[str]) -> None:
    """Refuse tasks with pictures for a model that reads text only.

    Raises:
        TaskError: names all of them.
    """
    if tasks and tokenizer_of(processor) is processor:
        raise TaskError(
            f"{model} reads text only, and these tasks have pictures: {', '.join(tasks)}",
            option="tasks",
            mend="choose a vision-language model, or tasks of texts: "
            "task_type: Exact Match or Multiple Choice",
        )
