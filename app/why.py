"""Why this hit, in plain sentences: what an `Explanation` says, for people; pure."""

from collections.abc import Sequence

from app.display import one_line
from app.formats import count, plural, score
from indexer.hits import Hit
from indexer.query.explain import Explanation, Leg

_MOST_NAMED = 5


def sentences(hit: Hit, found: Explanation) -> list[str]:
    """What the engine says of the hit, a sentence each; words of the query are quoted, so treat them as hostile."""
    said = [_leg("By meaning", found.dense, "passages")] if found.dense else []
    if found.keyword is not None:
        said.append(_leg("By words", found.keyword, "passages that hold a word of the query"))
    elif found.fusion is not None or hit.dense is None:
        said.append("By words it was not found: the passage holds none of the query's words.")
    if found.words:
        said.append(_words(found))
    if found.dense and found.fusion is None and found.dense.rank > hit.rank:
        said.append(
            "What stands between is of the same documents, or of the examples' own, which are no hits."
        )
    if found.parts is not None:
        dense, keyword = found.parts
        said.append(
            f"Together {score(dense)} for meaning and {score(keyword)} for words make its score of {score(dense + keyword)}."
        )
    if len(found.passages) > 1:
        place = next((at for at, passage in enumerate(found.passages, 1) if passage.is_shown), 0)
        said.append(
            f"The passage shown is number {count(place)} of the {count(len(found.passages))} of its document."
        )
    return said


def fusion_rule(found: Explanation) -> str:
    """How the two scores were scaled, with the numbers put in; empty unless both were asked."""
    fusion = found.fusion
    if fusion is None or found.dense is None:
        return ""
    keyword = found.keyword.score if found.keyword else 0.0
    dense = "1"  # all candidates are equally close
    if fusion.high > fusion.low:
        low, high = f"{fusion.low:.3f}", f"{fusion.high:.3f}"
        dense = f"({found.dense.score:.3f} − {low}) / ({high} − {low})"
    words = f"{keyword:.3f} / {fusion.top:.3f}" if fusion.top > 0 else "0"
    return f"{fusion.weight:.2f} × {dense} + {1 - fusion.weight:.2f} × {words}"


def share_sentence(shares: Sequence[float]) -> str:
    """Which memory tokens make the score, from what each adds to it."""
    total = sum(shares)
    if total <= 0 or len(shares) < 2:
        return f"The memory tokens add up to {score(total)}."
    largest = max(range(len(shares)), key=shares.__getitem__)
    part = shares[largest] / total
    return (
        f"They add up to {score(total)}; number {largest + 1} adds the most, {part:.0%}; "
        f"equal shares would be {1 / len(shares):.0%} each."
    )


def _leg(name: str, leg: Leg, of: str) -> str:
    return (
        f"{name} it is number {count(leg.rank)} of {count(leg.of)} {of}, with a score of {score(leg.score)}."
    )


def _words(found: Explanation) -> str:
    named = [
        f"“{one_line(share.word)}” ({score(share.score)}, in {plural(share.passages, 'passage')})"
        for share in found.words[:_MOST_NAMED]
    ]
    more = f" and {count(len(found.words) - _MOST_NAMED)} more" if len(found.words) > _MOST_NAMED else ""
    return f"Words of the query in it, the weightiest first: {', '.join(named)}{more}."
