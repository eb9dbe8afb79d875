"""The encoder that a run made: put in place whole, with its card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train.running.card import versions, write_card
from train.running.keeping import EncoderKeeper
from train.running.run_folder import RunFolder, finish, publish
from train.running.watcher import Measures


def publish_encoder(
    folder: RunFolder,
    keeper: EncoderKeeper,
    *,
    step: int,
    source: Path | None = None,
    measures: Measures,
    facts: Mapping[str, Any],
    recipe: Mapping[str, Any],
) -> Path:
    """Writes OUT/encoder from a checkpoint; returns its place.

    Args:
        folder: of the run.
        keeper: of the weights; they become those of the source.
        step: of the checkpoint.
        source: what is written in its place, an average of checkpoints.
        measures: what the watch saw there.
        facts: lines of the card: stage, what it began from, data.
        recipe: as `recipe_to_json`.

    Raises:
        TrainingError: it could not be written; what was there is as before.
    """
    keeper.load(source or folder.checkpoint(step))
    target = folder.path / "encoder"

    def write(temporary: Path) -> None:
        keeper.write(temporary, target, step, {**recipe.get("card", {}), "measures": dict(measures)})
        write_card(
            temporary,
            title=f"{folder.path.name}: an LLM2Comp encoder",
            facts={**facts, "steps": step, **versions(), **recipe.get("card", {})},
            measures=measures,
            recipe=recipe,
            use=f"llm2comp index SOURCE --into DIR --encoder {target}",
        )

    publish(write, target)
    finish(folder, measures, recipe.get("card", {}))
    return target
