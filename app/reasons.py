"""What the engine can say of one hit of the view's answer, on demand: why it stands there, and its memory tokens."""

import numpy as np

from app import session
from app.questions import query_of
from encoder.errors import InputError, UsageError
from indexer.hits import Hit, SearchResult
from indexer.query.asked import ask
from indexer.query.explain import Explanation
from indexer.storage.row_schema import WORD_COLUMN


def explain(opened: session.Opened, result: SearchResult, hit: Hit) -> Explanation:
    """Why a hit of the view's answer stands where it stands.

    Raises:
        Llm2CompError: the passage is gone, or the encoder cannot be used.
    """
    state = session.view()
    scope = session.scope_of(opened, state)
    return session.encode_alone(lambda: opened.searcher.explain(result, hit, query_of(state), **scope))


def memory_shares(opened: session.Opened, hit: Hit) -> list[float]:
    """What each memory token of the hit's passage adds to its score by meaning.

    Raises:
        UsageError: the encoder has no memory tokens, or its vectors are transformed, so that nothing adds up.
        InputError: the passage is gone.
        Llm2CompError: the encoder cannot be used.
    """
    from encoder.spectrum.slots import slot_shares

    searcher, state = opened.searcher, session.view()
    settings = opened.collection.settings
    row = searcher.row_ids_of([hit.id]).get(hit.id)
    if row is None:
        raise InputError("the passage is gone", hit.id, "search again")
    text = searcher.snapshot.store.take(np.array([row], np.uint64), [WORD_COLUMN])[WORD_COLUMN][0].as_py()

    def shares() -> list[float]:
        embedder = searcher.embedder
        if settings.transform or not hasattr(embedder, "encode_memory"):
            raise UsageError(
                "the score is no sum over memory tokens here",
                f"encoder {settings.encoder_name}",
                "it is for encoders with memory tokens whose vectors are not transformed",
            )
        asked = ask(searcher.snapshot, [query_of(state)], mode="semantic", encode=embedder.encode_query)[0]
        assert asked.vector is not None  # semantic: always has one
        found: list[float] = slot_shares(asked.vector, embedder.encode_memory([text])[0]).tolist()
        return found

    return session.encode_alone(shares)
