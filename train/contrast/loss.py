"""The contrastive loss of stages 2 and 3, with cached gradients: a large batch in the memory of a small one.

Two passes over the texts, replayed random numbers and gathered devices are the library's (`CachedLossMixin`); what
counts as a negative, and for how much, is here. With every option off the loss is
`CachedMultipleNegativesRankingLoss`, less doubled texts, which are no negatives here. Matryoshka prefixes are taken
here and not by the library's `MatryoshkaLoss`, which shrinks representations and so cannot have inner layers beside.

Shapes: B rows of this device, A rows of all devices, N candidates of all devices, R rows of a chunk, W numbers of a
representation: the embedding, then the vectors of inner layers.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.gradcache import CachedLossMixin, RandContext
from sentence_transformers.util import all_gather, all_gather_with_grad, get_rank
from torch import Tensor, nn
from torch.nn.functional import normalize

from encoder.errors import ConfigError, ShapeError
from encoder.st import MemoryEncoder
from train.contrast.false_negatives import Exclusion, text_keys
from train.contrast.guide import Guide
from train.contrast.layers import Sizes, check_sizes, draw_sizes, trained_parts
from train.contrast.mixing import draw_coefficients, mixed_similarities
from train.settings import Contrast, Views

_CHUNK_ROWS = 256  # whose similarities to all candidates exist at a time


class _Batch(NamedTuple):
    """What the loss knows of a batch besides its vectors; it travels where the library passes labels."""

    keys: list[Tensor]  # [B] int64 a column, what `text_keys` gives
    guides: list[Tensor] | None  # [B, G] a column
    parts: list[slice]  # columns of the representation that are a vector of their own
    step: int


@dataclass(frozen=True)
class _Side:
    """Rows that each look for one candidate among all."""

    rows_BW: Tensor
    candidates_NW: Tensor
    place_B: Tensor  # int64, where it stands
    exclusion: Exclusion
    weight: float
    coefficient_BKS: Tensor | None = None  # of mixed negatives


class ContrastiveLoss(CachedLossMixin, nn.Module):
    """Cross-entropy of each query over all documents of the batch, its positive being the target.

    For query i with positive p_i and temperature t, over candidates C_i (all positives and hard negatives of all
    devices without what `Exclusion` leaves out, and the mixed negatives of i):

        L_i = -w_i log( exp(q_i . p_i / t) / sum_{c in C_i} exp(q_i . c / t) )

    The loss is the mean of L_i, summed over the embedding, its Matryoshka prefixes and inner layers, each brought to
    length 1. `focal` gamma makes w_i = (1 - p)^gamma of the probability p of the positive (KaLM-Embedding-V2). It is
    detached: it says how much a query counts and does not pull p up or down by itself. With `symmetric` the loss is
    the mean of that and of the same with queries and positives in each other's place, without hard negatives.

    Inputs are columns of features: queries, positives, then hard negatives if there are any.

    Args:
        model: embeds; a `MemoryEncoder` as its first module if inner layers are trained.
        settings: what counts as a negative.
        guide: finds false negatives by `settings.guide_margin`; None for none.
        gather: take the candidates of all devices, where there are several. Every device needs equally many rows.
        seed: of what is drawn in each step.

    Attributes:
        step: training batches so far; what is drawn follows from seed and step, so a resumed run sets it.

    Raises:
        ConfigError: the encoder does not have the layers or numbers that are to be trained.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        settings: Contrast,
        *,
        guide: Guide | None = None,
        gather: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.mini_batch_size = settings.mini_batch
        self.step = 0
        self._guide = guide
        self._gather = gather
        self._seed = seed
        self._dimension = int(model.get_embedding_dimension() or 0)
        self._n_layers = _count_layers(model, settings)
        self._autocast: tuple[str, torch.dtype] | None = None
        check_sizes(settings, self._n_layers, self._dimension)

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar; its backward pass embeds the texts again.

        Args:
            sentence_features: tokenised columns, `input_ids` and `attention_mask` [B, T] each; at least two.
            labels: not used; the positive of a query stands in its row.

        Raises:
            ShapeError: there are fewer than two columns.
        """
        columns = list(sentence_features)
        if len(columns) < 2:
            raise ShapeError(
                f"the batch has {len(columns)} column, expected queries and positives",
                "ContrastiveLoss",
                "give at least two columns",
            )
        is_training = torch.is_grad_enabled()
        sizes: Sizes = ()
        if is_training:
            sizes = draw_sizes(
                self.settings, self._n_layers, self._dimension, seed=self._seed, step=self.step
            )
        batch = _Batch(
            keys=[text_keys(column) for column in columns],
            guides=None if self._guide is None else self._guide.vectors(columns),
            parts=trained_parts(self._dimension, self.settings.matryoshka, sizes),
            step=self.step if is_training else 0,
        )
        if is_training:
            self.step += 1
        self._autocast = _autocast_now(columns[0]["input_ids"].device.type)
        # With the features, and not on this object: the second pass must not see what a later batch has drawn.
        columns = [column | {"layer_sizes": sizes} if sizes else column for column in columns]
        return self.forward_cached(columns, batch)  # type: ignore[arg-type]

    def embed_minibatch(self, *args: Any, **kwargs: Any) -> tuple[Tensor, RandContext | None]:
        """Representations [R, W] and the random state before them, in the precision of the forward pass.

        The second pass runs during `backward`, which callers leave outside of their autocast context; without this
        it would compute, and keep, everything in float32.
        """
        context: AbstractContextManager = nullcontext()
        if self._autocast is not None:
            context = torch.autocast(self._autocast[0], dtype=self._autocast[1])
        with context:
            return super().embed_minibatch(*args, **kwargs)

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Any = None, *, with_backward: bool = False
    ) -> Tensor:
        """The loss of representations, a scalar.

        Args:
            reps: [R, W] tensors for each mini-batch of each column.
            labels: the `_Batch`.
            with_backward: also compute the gradients of `reps`, chunk by chunk, and return the loss without graph.
        """
        batch: _Batch = labels
        with torch.autocast(reps[0][0].device.type, enabled=False):
            # bfloat16 similarities over a temperature of 0.05 would be off by some tenths.
            sides = self._sides([torch.cat(column).float() for column in reps], batch)
            # Leaves collect the gradients of all chunks; one pass then takes them through gathering to `reps`.
            leaves = [_cut(side) for side in sides] if with_backward else sides
            total = torch.zeros((), device=reps[0][0].device)
            for side in leaves:
                for part in batch.parts:
                    for begin in range(0, len(side.rows_BW), _CHUNK_ROWS):
                        loss = self._chunk_loss(side, part, begin)
                        if with_backward:
                            loss.backward()
                            loss = loss.detach()
                        total = total + loss
            if with_backward:
                _continue_backward(sides, leaves)
        return total

    def _sides(self, columns: list[Tensor], batch: _Batch) -> list[_Side]:
        """Queries against documents, and the other way round if that is asked for; [B, W] a column."""
        settings = self.settings
        wanted = columns if settings.symmetric else columns[1:]
        gathered = self._all_rows(torch.stack(wanted, dim=1)).unbind(
            dim=1
        )  # [A, W] a column, in one exchange
        documents = gathered[1:] if settings.symmetric else gathered
        keys = list(self._all_rows(torch.stack(batch.keys, dim=1), with_grad=False).unbind(dim=1))
        guides = None
        if batch.guides is not None:
            guides = list(self._all_rows(torch.stack(batch.guides, dim=1), with_grad=False).unbind(dim=1))
        rows, offset = len(columns[0]), get_rank() * len(columns[0]) if self._gather else 0
        place_B = torch.arange(offset, offset + rows, device=columns[0].device)
        coefficient_BKS = None
        if settings.mixed_negatives:
            coefficient_AKS = draw_coefficients(
                len(documents[0]), settings.mixed_negatives, seed=self._seed, step=batch.step
            )
            coefficient_BKS = coefficient_AKS[offset : offset + rows].to(columns[0].device)
        weight = 0.5 if settings.symmetric else 1.0
        sides = [
            _Side(
                rows_BW=columns[0],
                candidates_NW=torch.cat(documents),
                place_B=place_B,
                exclusion=_exclusion(keys, guides, place_B, settings.guide_margin),
                weight=weight,
                coefficient_BKS=coefficient_BKS,
            )
        ]
        if settings.symmetric:
            turned = None if guides is None else [guides[1], guides[0]]
            exclusion = _exclusion([keys[1], keys[0]], turned, place_B, settings.guide_margin)
            sides.append(_Side(columns[1], gathered[0], place_B, exclusion, weight))
        return sides

    def _chunk_loss(self, side: _Side, part: slice, begin: int) -> Tensor:
        """What the rows from `begin` on add to the loss, a scalar."""
        end = min(begin + _CHUNK_ROWS, len(side.rows_BW))
        rows_RD = normalize(side.rows_BW[begin:end, part], dim=-1)
        candidates_ND = normalize(side.candidates_NW[:, part], dim=-1)
        place_R1 = side.place_B[begin:end, None]
        similarity_RN = (rows_RD @ candidates_ND.T).masked_fill(
            side.exclusion.left_out(begin, end), -torch.inf
        )
        every_RN = similarity_RN
        if side.coefficient_BKS is not None:
            negatives_RN = similarity_RN.scatter(1, place_R1, -torch.inf)
            mixed_RK = mixed_similarities(
                rows_RD, candidates_ND, negatives_RN, side.coefficient_BKS[begin:end]
            )
            every_RN = torch.cat([similarity_RN, mixed_RK], dim=1)
        logits_RN = every_RN / self.settings.temperature
        log_p_R = logits_RN.gather(1, place_R1).squeeze(1) - logits_RN.logsumexp(dim=1)
        if self.settings.focal:
            log_p_R = log_p_R * (1 - log_p_R.detach().exp()).clamp_min(0) ** self.settings.focal
        return -side.weight * log_p_R.sum() / len(side.rows_BW)

    def _all_rows(self, tensor: Tensor, *, with_grad: bool = True) -> Tensor:
        """[B, ...] of this device -> [A, ...] of all devices in the order of their ranks."""
        if not (self._gather and torch.distributed.is_available() and torch.distributed.is_initialized()):
            return tensor
        return all_gather_with_grad(tensor) if with_grad else all_gather(tensor)

    def get_config_dict(self) -> dict[str, Any]:
        """What a model card says of the loss."""
        return asdict(self.settings)


class ViewLoss(ContrastiveLoss):
    """Two dropout views of each text are each other's positive (SimCSE): the first view looks for the second.

    Denominators hold the second views alone, as in the authors' code: no negatives of the same view, one direction.
    Inputs are one column of features; the model must be in training mode and have dropout
    (`train.contrast.dropout.require_dropout`).

    Args:
        model: embeds.
        settings: temperature and mini-batch.
        gather: take the candidates of all devices.
        seed: not used by these settings.
    """

    def __init__(
        self, model: SentenceTransformer, settings: Views, *, gather: bool = True, seed: int = 0
    ) -> None:
        plain = Contrast(temperature=settings.temperature, mini_batch=settings.mini_batch)
        super().__init__(model, plain, gather=gather, seed=seed)

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            sentence_features: one tokenised column, `input_ids` and `attention_mask` [B, T].
            labels: not used.

        Raises:
            ShapeError: there is another number of columns.
        """
        columns = list(sentence_features)
        if len(columns) != 1:
            raise ShapeError(
                f"the batch has {len(columns)} columns, expected one",
                "ViewLoss",
                "give one column of texts, or use ContrastiveLoss",
            )
        return super().forward([columns[0], dict(columns[0])], labels)


def _count_layers(model: SentenceTransformer, settings: Contrast) -> int:
    """Layers of the encoder; 0 where no inner one is trained.

    Raises:
        ConfigError: inner layers are asked for and the model cannot give their states.
    """
    if settings.layers == "none":
        return 0
    module = model[0]
    if not isinstance(module, MemoryEncoder):
        raise ConfigError(
            f"{type(module).__name__} does not give the states of inner layers",
            "contrast.layers",
            'train an encoder directory of ours, or set layers = "none"',
        )
    return int(module.model.backbone.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]


def _autocast_now(device: str) -> tuple[str, torch.dtype] | None:
    return (device, torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else None


def _exclusion(
    keys: Sequence[Tensor], guides: Sequence[Tensor] | None, place_B: Tensor, margin: float
) -> Exclusion:
    """What is left out when the texts of the first column look for those of the second; [A] and [A, G] a column."""
    return Exclusion(
        row_B=keys[0][place_B],
        target_B=keys[1][place_B],
        place_B=place_B,
        candidate_N=torch.cat(list(keys[1:])),
        partner_A=keys[0],
        guide_BG=None if guides is None else guides[0][place_B],
        guide_NG=None if guides is None else torch.cat(list(guides[1:])),
        margin=margin,
    )


def _cut(side: _Side) -> _Side:
    """The same vectors as leaves of a graph of their own."""
    return replace(
        side,
        rows_BW=side.rows_BW.detach().requires_grad_(),
        candidates_NW=side.candidates_NW.detach().requires_grad_(),
    )


def _continue_backward(sides: Sequence[_Side], leaves: Sequence[_Side]) -> None:
    """Takes the gradients of the leaves on to what the vectors were computed from."""
    ends = [tensor for side in sides for tensor in (side.rows_BW, side.candidates_NW)]
    gradients = [tensor.grad for side in leaves for tensor in (side.rows_BW, side.candidates_NW)]
    torch.autograd.backward(ends, gradients)
