import pytest

from encoder.checkpoint import text_tokenizer
from encoder.config import Prompts
from encoder.framing import choose_framing
from tests.encoder.tiny import tiny_config, tiny_tokenizer

_HF = tiny_tokenizer()
_TOKENIZER = text_tokenizer(_HF)


def _framing(pooling, role="query", instruction=None, **prompts):
    n_memory = 4 if pooling == "memory_mean" else 0
    config = tiny_config(pooling=pooling, n_memory=n_memory, prompts=Prompts(**prompts))
    return choose_framing(config, _TOKENIZER, role, instruction)


def _text(ids):
    return _HF.decode(list(ids))


@pytest.mark.parametrize(
    ("role", "instruction", "prefix"),
    [
        ("query", None, "query: "),
        ("document", None, "passage: "),
        ("query", "", ""),
        ("query", "Find a {x}", "Find a {x}: "),
    ],
)
def test_the_prefix_is_the_stored_prompt_or_the_instruction(role, instruction, prefix):
    framing = _framing("memory_mean", role, instruction, query="query: ", document="passage: ")
    assert framing.prefix == prefix
    assert framing.frame.before == (1,)


def test_echo_says_the_text_twice():
    frame = _framing("echo").frame
    assert _text(frame.before) == "<s>Document:"
    assert _text(frame.between) == "\nDocument again:"


def test_echo_with_an_instruction_names_it():
    frame = _framing("echo", instruction="Find").frame
    assert _text(frame.before) == "<s>Instruct:Find,\nQuery:"
    assert _text(frame.between) == "\nQuery again:"


def test_prompteol_quotes_the_text():
    framing = _framing("prompteol", instruction="Find")
    assert _text(framing.frame.before) == '<s>Find: This sentence : "'
    assert _text(framing.frame.after) == '" means in one word:"'


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("A fox", "A fox."),
        ("A fox.", "A fox."),
        ("Why?", "Why."),
        ('say "a"', "say 'a'"),
        (" ", ""),
        ("", ""),
    ],
)
def test_prompteol_tidies_the_end_of_the_text(text, tidied):
    assert _framing("prompteol").tidy(text) == tidied
