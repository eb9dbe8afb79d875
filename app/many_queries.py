"""Several queries at once, from a pasted list: read, answered in batches, written as one file; pure but for the search."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from encoder.errors import InputError
from indexer.export import safe_cell
from indexer.hits import SearchResult

MOST_QUERIES = 200
BATCH = 8
_COLUMNS = (
    "query",
    "rank",
    "score",
    "document_id",
    "passage_id",
    "title",
    "text",
    "corpus",
    "version",
    "encoder",
)
_NUMBERS = {"rank": "int64", "score": "float64", "version": "int64"}

Answer = tuple[str, SearchResult | InputError]


def read_queries(pasted: str) -> list[str]:
    """One query a line; blank lines and lines that came before are left out.

    Raises:
        InputError: there are none, or more than 200.
    """
    found = list(dict.fromkeys(line.strip() for line in pasted.splitlines() if line.strip()))
    if not found:
        raise InputError("there is no query in the list", "the list of queries", "write one query a line")
    if len(found) > MOST_QUERIES:
        raise InputError(
            f"{len(found)} queries are more than {MOST_QUERIES}",
            "the list of queries",
            "ask them in parts, or from Python with Searcher.search_batch",
        )
    return found


def answer_all(
    queries: Sequence[str], search: Callable[[Sequence[str]], Sequence[SearchResult]]
) -> Iterator[list[Answer]]:
    """The answers, a batch at a time; a query that cannot be asked has its error in place of an answer.

    Args:
        queries: to be asked.
        search: answers several queries at once, and raises InputError where one of them is impossible.
    """
    for start in range(0, len(queries), BATCH):
        batch = queries[start : start + BATCH]
        try:
            yield list(zip(batch, search(batch), strict=True))
        except InputError:  # one spoils its batch: the others are asked alone
            yield [(query, _alone(query, search)) for query in batch]


def _alone(
    query: str, search: Callable[[Sequence[str]], Sequence[SearchResult]]
) -> SearchResult | InputError:
    try:
        return search([query])[0]
    except InputError as error:
        return error


def answer_rows(answers: Sequence[Answer], corpus: str) -> list[dict[str, Any]]:
    """A row for each hit of each query, in their order; queries without hits have none."""
    return [
        dict(
            zip(
                _COLUMNS,
                (
                    query,
                    hit.rank,
                    hit.score,
                    hit.document_id,
                    hit.id,
                    hit.title,
                    hit.text,
                    corpus,
                    result.provenance.version,
                    result.provenance.encoder,
                ),
                strict=True,
            )
        )
        for query, result in answers
        if not isinstance(result, InputError)
        for hit in result.hits
    ]


def answers_as(kind: str, answers: Sequence[Answer], corpus: str) -> bytes:
    """The hits of all queries as the bytes of a file.

    In csv, texts that a spreadsheet would run as a formula get a leading apostrophe.

    Args:
        kind: "csv", "jsonl" or "parquet".
        answers: of `answer_all`.
        corpus: its name.
    """
    rows = answer_rows(answers, corpus)
    if kind == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "replace")
    if kind == "csv":
        sheet = io.StringIO()
        writer = csv.writer(sheet)
        writer.writerow(_COLUMNS)
        writer.writerows([safe_cell(row[name]) for name in _COLUMNS] for row in rows)
        return sheet.getvalue().encode("utf-8-sig", "replace")
    return _parquet(rows)


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _NUMBERS.get(name, "string")) for name in _COLUMNS])
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), buffer, compression="zstd")
    return buffer.getvalue()
