"""The trainer of sentence-transformers as the contrastive stages use it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

from train.running.run_folder import step_of
from train.running.trainer import StageMixin

QUERY_COLUMNS = ("anchor", "text")


class ContrastiveTrainer(StageMixin, SentenceTransformerTrainer):
    """Trains by a loss over columns of texts, and counts the tokens it reads."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        # What the loss draws in a step then goes on as without a stop.
        loss: Any = self.loss
        loss.step = step_of(Path(resume_from_checkpoint)) * self.args.gradient_accumulation_steps

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
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: the stage writes a card of its own, and this one reads every text to describe the data."""


class ColumnCollator(SentenceTransformerDataCollator):
    """Tokenises columns, queries and documents each to their own length.

    Args:
        module: whose `preprocess` it is.
        longest: most tokens of a "query" and of a "document".
        prompts: prefix of the column `anchor` for each data set.
    """

    def __init__(
        self, module: Any, longest: Mapping[str, int], prompts: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        super().__init__(
            preprocess_fn=module.preprocess,
            valid_label_columns=[],
            prompts={name: dict(columns) for name, columns in (prompts or {}).items()},
            max_length=dict(longest),
        )

    def _get_task_for_column(
        self, column_name: str, column_position: int, router_mapping: dict[str, str]
    ) -> str | None:
        return "query" if column_name in QUERY_COLUMNS else "document"
