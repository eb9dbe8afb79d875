"""A student that starts with its teacher's own layers, in the shape of a decoder with norms after its layers.

OPT's decoder with `do_layer_norm_before = False` (that of OPT-350M) computes what a BERT layer computes once its
attention is full: softmax attention with biases, add, LayerNorm, GELU layer, add, LayerNorm. Two things differ.
BERT norms the sum of token and position vectors, OPT takes the sum as it is, so both tables are fitted to give
nearly the normed sum. And there is no second special token behind the text: the memory tokens stand there.

Shapes: V tokens of the teacher, W tokens of the student, P positions, D embedding dimension, M memory tokens.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import OPTConfig, OPTModel

from encoder.errors import ConfigError
from encoder.memory import MemoryModel, new_memory

_POSITIONS_OF_TOKENS = range(1, 129, 4)  # where token vectors are fitted: positions that every text has
_TOKENS_OF_POSITIONS = 4000  # the most frequent ones, over which position vectors are fitted
_OPT_OFFSET = 2  # rows of OPT's table of positions before that of position 0


def student_of_teacher(
    teacher: Any,
    kept_W: NDArray[np.int64],
    count_W: NDArray[np.int64],
    *,
    n_memory: int,
    layers: int,
    seed: int,
) -> MemoryModel:
    """A decoder with the first layers of a BERT model, and fresh memory tokens.

    Args:
        teacher: a `BertModel` with learned positions, as `train.distillation.teacher.Teacher` holds it.
        kept_W: [W] int64, the teacher's id of each of the student's tokens.
        count_W: [W] int64, how often each occurs; frequent tokens decide the vectors of positions.
        n_memory: memory tokens, M.
        layers: how many of the teacher's layers.
        seed: decides the memory tokens.

    Raises:
        ConfigError: the teacher is no BERT model, or has fewer layers.
    """
    config = teacher.config
    if config.model_type != "bert" or not 1 <= layers <= config.num_hidden_layers:
        raise ConfigError(
            f"The teacher is a {config.model_type} of {config.num_hidden_layers} layers.",
            'student.start = "teacher"',
            f'take a BERT teacher and at most its layers, or start = "tokens" (layers = {layers} were asked for)',
        )
    backbone = OPTModel(_shape(config, len(kept_W), layers))
    with torch.no_grad():
        _fit_tables(backbone, teacher.embeddings, torch.from_numpy(kept_W), count_W)
        for layer, source in zip(backbone.decoder.layers, teacher.encoder.layer, strict=False):
            _copy_layer(layer, source)
    return MemoryModel(backbone, new_memory(backbone, n_memory, seed=seed))


def _shape(config: Any, tokens: int, layers: int) -> OPTConfig:
    shape = OPTConfig(
        vocab_size=tokens,
        hidden_size=config.hidden_size,
        word_embed_proj_dim=config.hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=config.num_attention_heads,
        ffn_dim=config.intermediate_size,
        activation_function=config.hidden_act,
        max_position_embeddings=config.max_position_embeddings,
        do_layer_norm_before=False,
        dropout=0.0,
        attention_dropout=0.0,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    shape._attn_implementation = "eager"  # under torch.compile the faster one to train, by 1.4
    return shape


def _fit_tables(backbone: OPTModel, source: Any, kept_W: Tensor, count_W: NDArray[np.int64]) -> None:
    """Token vectors [W, D] and position vectors [P, D] whose sum is nearly the teacher's normed sum."""

    def normed(token_XD: Tensor, position: int) -> Tensor:
        return source.LayerNorm(token_XD + source.position_embeddings.weight[position].float())

    norm_dtype = source.LayerNorm.weight.dtype
    source.LayerNorm.float()
    kind_D = source.token_type_embeddings.weight[0].float()
    token_WD = source.word_embeddings.weight[kept_W].float() + kind_D
    table_WD = torch.stack([normed(token_WD, position) for position in _POSITIONS_OF_TOKENS]).mean(0)
    backbone.decoder.embed_tokens.weight.copy_(table_WD)
    often = torch.from_numpy(np.argsort(-count_W, kind="stable")[:_TOKENS_OF_POSITIONS].copy())
    weight = torch.from_numpy(count_W).float()[often] + 1e-9
    weight = (weight / weight.sum())[:, None]
    rows = backbone.decoder.embed_positions.weight
    rows.zero_()
    for position in range(len(rows) - _OPT_OFFSET):
        rest_XD = normed(token_WD[often], position) - table_WD[often]
        rows[position + _OPT_OFFSET] = (weight * rest_XD).sum(0)
    source.LayerNorm.to(norm_dtype)


def _copy_layer(layer: Any, source: Any) -> None:
    attention = source.attention
    pairs = (
        (layer.self_attn.q_proj, attention.self.query),
        (layer.self_attn.k_proj, attention.self.key),
        (layer.self_attn.v_proj, attention.self.value),
        (layer.self_attn.out_proj, attention.output.dense),
        (layer.self_attn_layer_norm, attention.output.LayerNorm),
        (layer.fc1, source.intermediate.dense),
        (layer.fc2, source.output.dense),
        (layer.final_layer_norm, source.output.LayerNorm),
    )
    for target, origin in pairs:
        target.weight.copy_(origin.weight)
        target.bias.copy_(origin.bias)
