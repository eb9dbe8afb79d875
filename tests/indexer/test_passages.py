"""Cutting: passages cover the text, fit the window, begin and end where people would cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.errors import UsageError
from indexer.documents import Document
from indexer.passages.cut import cut_passages
from indexer.passages.sentences import sentence_starts

SENTENCE = "The river moved {} times in the night, and nobody in the village could say why."


def story(n):
    return " ".join(SENTENCE.format(i) for i in range(n))


def cut(embedder, text, title="", **sizes):
    return cut_passages([Document(None, title, text)], embedder, **sizes)[0]


class CharacterEmbedder:
    """Three tokens a character, all with the same offsets: what a byte-level tokenizer does to rare characters."""

    name, max_tokens = "characters", 30

    def tokenize(self, texts):
        return [
            np.repeat(np.array([[i, i + 1] for i in range(len(t))], np.int64).reshape(-1, 2), 3, 0)
            for t in texts
        ]


class BytePairEmbedder:
    """A real byte-level tokenizer, trained on a page of text: tokens hold the blank before the word."""

    name, max_tokens = "pairs", 40

    def __init__(self):
        from tokenizers import ByteLevelBPETokenizer

        self._tokenizer = ByteLevelBPETokenizer()
        self._tokenizer.train_from_iterator(
            [story(50), "Straße Zürich Köln 你好"], vocab_size=400, show_progress=False
        )

    def tokenize(self, texts):
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        found = self._tokenizer.encode_batch(texts)
        return [np.array(encoding.offsets, np.int64).reshape(-1, 2) for encoding in found]


PAIRS = BytePairEmbedder()


def check(embedder, document, passages, window):
    """What holds for every cut: numbers, offsets, contents, coverage, window."""
    text = document.text
    covered = np.zeros(len(text), bool)
    assert [p.number for p in passages] == list(range(len(passages)))
    for passage in passages:
        assert 0 <= passage.start < passage.end <= len(text)
        assert passage.content.endswith(text[passage.start : passage.end])
        head = passage.content[: len(passage.content) - (passage.end - passage.start)]
        assert head == "" or (head.endswith("\n") and document.title.startswith(head[:-1]))
        covered[passage.start : passage.end] = True
    assert all(text[i].isspace() for i in np.flatnonzero(~covered))
    assert all(a.start < b.start and a.end < b.end for a, b in zip(passages, passages[1:], strict=False))
    if len(passages) > 1:
        assert max(map(len, embedder.tokenize([p.content for p in passages]))) <= window


def test_a_text_that_fits_is_one_passage_with_its_title(word_embedder):
    passages = cut(word_embedder, "  Some words. ", "A title")
    assert [(p.start, p.end, p.content) for p in passages] == [(0, 14, "A title\n  Some words. ")]
    assert cut(word_embedder, "Some words.")[0].content == "Some words."


def test_no_documents_give_no_passages(word_embedder):
    assert cut_passages([], word_embedder) == []


def test_a_long_text_is_cut_at_sentence_ends_with_the_title_before_each(word_embedder):
    passages = cut(word_embedder, story(20), "The river")
    assert len(passages) > 4
    for passage in passages:
        assert passage.content.startswith("The river\nThe river moved")
        assert passage.content.endswith("say why.")


def test_passages_repeat_about_an_eighth_of_the_window(word_embedder):
    text = " ".join(f"Number {i} came home." for i in range(100))  # five tokens a sentence
    passages = cut(word_embedder, text)
    overlaps = [a.end - b.start for a, b in zip(passages, passages[1:], strict=False)]
    tokens = [
        len(t)
        for t in word_embedder.tokenize(
            [text[p.start : p.start + n] for p, n in zip(passages[1:], overlaps, strict=True)]
        )
    ]
    assert set(tokens) <= {5, 10}
    assert all(
        a.end == b.start - 1
        for a, b in zip(*[cut(word_embedder, text, overlap=0)[i:] for i in (0, 1)], strict=False)
    )


def test_a_text_a_little_longer_than_the_window_is_halved(word_embedder):
    passages = cut(word_embedder, story(5))
    lengths = [p.end - p.start for p in passages]
    assert len(lengths) == 2 and max(lengths) < 2 * min(lengths)


def test_a_long_title_is_cut_to_a_quarter_of_the_window_at_a_word(word_embedder):
    title = " ".join(f"word{i}" for i in range(100))
    passages = cut(word_embedder, story(10), title)
    assert passages[0].content.split("\n")[0] == " ".join(f"word{i}" for i in range(16))
    check(word_embedder, Document(None, title, story(10)), passages, 64)


def test_a_sentence_longer_than_the_window_is_cut_at_lines_then_words(word_embedder):
    lines = "\n".join(" ".join(f"a{i}b{j}" for j in range(10)) for i in range(20))
    assert all(p.content.endswith("b9") for p in cut(word_embedder, lines))
    words = " ".join(f"word{i}" for i in range(500))
    for passage in cut(word_embedder, words):
        assert words[passage.end : passage.end + 1] in ("", " ")
        assert passage.start == 0 or words[passage.start - 1] == " "


def test_a_torn_sentence_is_repeated_from_a_word_on(word_embedder):
    passages = cut(word_embedder, " ".join(f"word{i}" for i in range(500)))
    assert all(b.start < a.end for a, b in zip(passages, passages[1:], strict=False))


def test_abbreviations_and_initials_end_no_sentence():
    text = 'Dr. J. Smith saw Fig. 3, e.g. the U.S. Map. It was "good." Was it? Yes!\n\nNew part。第二。'
    starts = [0, *sentence_starts(text).tolist(), len(text)]
    pieces = [text[a:b].strip() for a, b in zip(starts, starts[1:], strict=False)]
    assert pieces == [
        "Dr. J. Smith saw Fig. 3, e.g. the U.S. Map.",
        'It was "good."',
        "Was it?",
        "Yes!",
        "New part。",
        "第二。",
    ]


@pytest.mark.parametrize(
    "text", ["." * 300_000, "a." * 150_000, "\n" * 300_000 + "x", ". " * 100_000, '."' * 150_000]
)
def test_hostile_punctuation_takes_no_time(word_embedder, text):
    passages = cut(word_embedder, text)
    assert passages[-1].end >= len(text.rstrip())


def test_a_window_or_overlap_out_of_bounds_is_refused(word_embedder):
    with pytest.raises(UsageError, match="a window of 65 tokens is not possible with encoder words"):
        cut(word_embedder, "x", window=65)
    with pytest.raises(UsageError, match="a window of 2 tokens is not possible"):
        cut(word_embedder, "x", window=2)
    with pytest.raises(UsageError, match="an overlap of 33 tokens does not go with a window of 64"):
        cut(word_embedder, "x", overlap=33)


def test_a_text_that_the_tokenizer_drops_is_one_passage(word_embedder):
    word_embedder.tokenize = lambda texts: [np.empty((0, 2), np.int64) for _ in texts]
    assert len(cut(word_embedder, "\x00\x01\x02" * 100)) == 1


def test_one_word_without_end_is_cut(word_embedder):
    passages = cut(word_embedder, "x" * 500_000)
    assert max(p.end - p.start for p in passages) <= 64 * 64
    assert passages[-1].end == 500_000


def test_blanks_without_end_make_no_passages(word_embedder):
    text = story(3) + " " * 300_000 + story(3)
    check(word_embedder, Document(None, "", text), cut(word_embedder, text), 64)
    assert len(cut(word_embedder, text)) < 20


def test_a_long_document_is_cut_like_a_short_one(word_embedder):
    text = story(20_000)  # 1.6 million characters: eight slices
    passages = cut(word_embedder, text, "The river")
    check(word_embedder, Document(None, "The river", text), passages, 64)
    assert all(passage.content.endswith("say why.") for passage in passages)


@pytest.mark.slow
def test_a_document_of_50_megabytes_is_cut(word_embedder):
    text = story(50_000_000 // 82)
    assert len(text) > 50_000_000
    passages = cut(word_embedder, text)
    assert passages[-1].end == len(text)
    assert max(b.start - a.end for a, b in zip(passages, passages[1:], strict=False)) <= 1


def test_neighbours_do_not_change_how_a_document_is_cut(word_embedder):
    documents = [Document(None, "t" * (i % 3), story(i)) for i in range(12)]
    together = cut_passages(documents, word_embedder)
    assert together == [cut_passages([document], word_embedder)[0] for document in documents]


TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            [
                ". ",
                "word ",
                "Ein Wort",
                "\n",
                "\n\n",
                "!",
                "  ",
                "好。",
                "\U0001f600",
                "\x00",
                "\ud800",
                "x" * 90,
            ]
        ),
        max_size=120,
    ).map("".join),
    st.integers(0, 30).map(story),
).filter(lambda text: text.strip())


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.one_of(st.just(""), st.text(max_size=80).map(str.strip)), st.integers(8, 40), st.data())
def test_passages_cover_the_text_and_fit_the_window(text, title, window, data):
    overlap = data.draw(st.none() | st.integers(0, window // 2))
    document = Document(None, title, text)
    passages = cut_passages([document], PAIRS, window=window, overlap=overlap)[0]
    check(PAIRS, document, passages, window)
    assert passages == cut_passages([document], PAIRS, window=window, overlap=overlap)[0]


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.text(max_size=30).map(str.strip), st.integers(8, 30))
def test_characters_of_several_tokens_are_never_torn(text, title, window):
    document = Document(None, title, text)
    embedder = CharacterEmbedder()
    check(embedder, document, cut_passages([document], embedder, window=window)[0], window)
