"""Why a search found nothing, in plain sentences: the same on the terminal and on the page."""

from app.display import one_line
from app.formats import plural
from indexer.hits import SearchResult
from indexer.query.keywords import parse_keywords
from indexer.search import Searcher


def nothing_found(result: SearchResult, where: str | None, searcher: Searcher) -> list[str]:
    """One or more lines, the first of them what was searched.

    Args:
        result: without hits.
        where: the filter that was asked with; None or blank for none.
        searcher: that gave the result.
    """
    is_filtered = bool(where and where.strip())
    passages = plural(result.provenance.matching, "passage")
    lines = [f"nothing found among {passages}" + (" that pass the filter" if is_filtered else "")]
    if where and is_filtered and not result.provenance.matching:
        lines += [
            f"no passage has the {hint.column} {one_line(hint.asked)!r}; did you mean {one_line(hint.near)!r}?"
            for hint in searcher.value_hints(where)
        ]
    elif parse_keywords(result.query).is_constrained:
        lines.append("what stands in quotes or behind + must be in a passage, what stands behind - must not")
    return lines
