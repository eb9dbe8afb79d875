"""The trainer of sentence-transformers as stages 2 and 3 use it. Shapes: B batch."""

from collections.abc import Mapping
from typing import Any

from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

from train.running.trainer import StageMixin

QUERY_COLUMNS = ("anchor", "text")
_NUMBER = "number"


class ContrastiveTrainer(StageMixin, SentenceTransformerTrainer):
    """Trains by a loss over columns of texts, and counts the tokens it reads."""

    _at_step = -1
    _take = 0  # of the batch of this step

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of a batch of columns."""
        masks = (value for name, value in inputs.items() if name.endswith("attention_mask"))
        self.tokens_seen += sum(int(mask.sum()) for mask in masks)
        self._set_draw()
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _set_draw(self) -> None:
        """Tells the loss its place in the run, which what it draws follows from: after a stop it goes on there."""
        if self.state.global_step != self._at_step:
            self._at_step, self._take = self.state.global_step, 0
        loss: Any = self.loss
        loss.step = self._at_step * self.args.gradient_accumulation_steps + self._take
        self._take += 1

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: the stage writes a card of its own, and this one reads every text to describe the data."""


class ColumnCollator(SentenceTransformerDataCollator):
    """Tokenises columns, queries and documents each to their own length; the column `number` says which rows they are.

    The batch has the numbers under `number`, int64 [B]. The library knows them as labels, so that its samplers do
    not take them for texts.

    Args:
        module: whose `preprocess` it is.
        longest: most tokens of a "query" and of a "document".
    """

    def __init__(self, module: Any, longest: Mapping[str, int]) -> None:
        super().__init__(
            preprocess_fn=module.preprocess, valid_label_columns=[_NUMBER], max_length=dict(longest)
        )

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of rows."""
        batch = super().__call__(features)
        if "label" in batch:
            batch[_NUMBER] = batch.pop("label")
        return batch

    def _get_task_for_column(
        self, column_name: str, column_position: int, router_mapping: dict[str, str]
    ) -> str | None:
        return "query" if column_name in QUERY_COLUMNS else "document"
