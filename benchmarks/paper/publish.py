"""Results -> results.json, img/ and the parts of README.md between markers. What stands outside the markers is kept."""

import re
from collections.abc import Callable
from pathlib import Path

import tables
from claims import claims
from figures import figures
from machine import describe
from results import Results

from encoder.atomic import write_bytes, write_json
from encoder.errors import InputError

HERE = Path(__file__).resolve().parent
_PARTS: dict[str, Callable[[Results], str]] = {
    "complete": tables.complete,
    "claims": claims,
    "pretext": tables.pretext,
    "stages": tables.stages,
    "memory": tables.memory,
    "pairs": tables.pairs,
    "spectra": tables.spectra,
    "slots": tables.slots,
    "continuation": tables.continuation,
}


def publish(results: Results, folder: Path) -> None:
    """Writes the report of what is measured so far.

    Args:
        results: of `collect`.
        folder: gets README.md (its text that of this folder where it has none), results.json and img/.

    Raises:
        InputError: the README lacks a marker.
    """
    readme = folder / "README.md"
    source = readme if readme.exists() else HERE / "README.md"
    text = source.read_text(encoding="utf-8")
    for name, make in _PARTS.items():
        text = fill(text, name, make(results), str(source))
    text = fill(text, "sets", _sets(results), str(source))
    text = fill(text, "machine", _machine(results), str(source))
    (folder / "img").mkdir(parents=True, exist_ok=True)
    for name, picture in figures(results).items():
        write_bytes(folder / "img" / name, picture.encode())
    write_json(folder / "results.json", results.content)
    write_bytes(readme, text.encode())


def fill(text: str, name: str, content: str, where: str) -> str:
    """The text with new content between the markers of a name.

    Raises:
        InputError: there are no such markers.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise InputError(
            f"the marker <!-- {name} --> is missing", where, f"put <!-- {name} --> and <!-- /{name} --> back"
        )
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def _sets(results: Results) -> str:
    rows = [[each["name"], each["kind"], each["metric"], each["size"]] for each in results.content["sets"]]
    return tables.table(["set", "kind", "score", "drawn from it"], rows)


def _machine(results: Results) -> str:
    hours = results.content["processor_seconds"] / 3600
    about = describe("llm2comp", "torch", "transformers", "sentence-transformers", "scikit-learn", "numpy")
    return (
        f"{about}\n\nThe table is of the moment when this page was written. The scores are of these commits: "
        f"{'; '.join(results.content['commits'])}. The steps took {hours:.1f} processor hours, one thread, without what was "
        "done before a stop."
    )
