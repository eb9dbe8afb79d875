"""What is said around a text for each pooling and role: prefix, template, and how the text is tidied.

Templates of the training-free poolings are those of their authors' code (Echo embeddings, PromptEOL).
"""

from collections.abc import Callable
from dataclasses import dataclass

from encoder.config import EncoderConfig
from encoder.prompt import Frame, TextTokenizer


@dataclass(frozen=True)
class Framing:
    """How a text becomes a sequence."""

    frame: Frame
    prefix: str = ""  # tokenised together with the text, and cut with it
    tidy: Callable[[str], str] | None = None


def choose_framing(
    config: EncoderConfig, tokenizer: TextTokenizer, role: str, instruction: str | None
) -> Framing:
    """The framing of a role's texts.

    Args:
        config: names the pooling and the prompts.
        tokenizer: turns the templates into ids.
        role: "query" or "document".
        instruction: what the caller says about the task; None for the stored prompt, "" for no prompt.
    """
    if config.pooling == "echo":
        return Framing(_echo_frame(tokenizer, instruction))
    if instruction is None:
        prefix = config.prompts.query if role == "query" else config.prompts.document
    else:
        prefix = config.prompts.instruction.replace("{instruction}", instruction) if instruction else ""
    if config.pooling == "prompteol":
        before, after = _ids(tokenizer, prefix + 'This sentence : "', '" means in one word:"')
        return Framing(Frame(before=tokenizer.bos + before, after=after), tidy=_tidy_for_eol)
    return Framing(Frame(before=tokenizer.bos), prefix=prefix)


def _echo_frame(tokenizer: TextTokenizer, instruction: str | None) -> Frame:
    if instruction:
        before, between = _ids(tokenizer, f"Instruct:{instruction},\nQuery:", "\nQuery again:")
    else:
        before, between = _ids(tokenizer, "Document:", "\nDocument again:")
    return Frame(before=tokenizer.bos + before, between=between)


def _ids(tokenizer: TextTokenizer, *parts: str) -> list[tuple[int, ...]]:
    return [tuple(row.tolist()) for row in tokenizer.ids(parts).ids]


def _tidy_for_eol(text: str) -> str:
    """The text as PromptEOL quotes it: one closing mark, no double quotes inside, no final question mark."""
    text = text.strip()
    if text and not text.endswith((".", "?", '"', "'")):
        text += "."
    text = text.replace('"', "'")
    return text[:-1] + "." if text.endswith("?") else text
