import pytest
import torch

from encoder.attention import (
    additive_mask,
    check_bidirectional,
    choose_attention,
    longest_sequence,
    scale_attention,
)
from encoder.errors import UnsupportedBackboneError
from encoder.memory import MemoryModel, new_memory
from tests.encoder.tiny import ARCHITECTURES, tiny_backbone


@pytest.fixture(scope="module", params=ARCHITECTURES)
def backbone(request):
    return tiny_backbone(request.param)


def _memory_states(backbone, ids, mask=None):
    ids = torch.tensor(ids)
    mask = torch.ones_like(ids) if mask is None else torch.tensor(mask)
    with torch.inference_mode():
        return MemoryModel(backbone, new_memory(backbone, 4))(ids, mask)


def test_a_later_token_changes_an_earlier_state(backbone):
    from encoder.attention import bidirectional_states

    embed = backbone.get_input_embeddings()
    real = torch.ones(1, 6, dtype=torch.bool)
    with torch.inference_mode():
        one = bidirectional_states(backbone, embed(torch.tensor([[5, 6, 7, 8, 9, 10]])), real)
        other = bidirectional_states(backbone, embed(torch.tensor([[5, 6, 7, 8, 9, 99]])), real)
    assert (one[0, :5] - other[0, :5]).abs().amax(dim=-1).min() > 1e-3


def test_every_memory_state_sees_the_text(backbone):
    change = (_memory_states(backbone, [[5, 6, 7]]) - _memory_states(backbone, [[5, 6, 8]])).abs()
    assert change.amax(dim=-1).min() > 1e-3


def test_padding_on_either_side_changes_nothing(backbone):
    alone = _memory_states(backbone, [[5, 6, 7]])
    padded = _memory_states(
        backbone,
        [[5, 6, 7, 0, 0, 0], [0, 0, 0, 5, 6, 7], [9, 10, 11, 12, 13, 14]],
        [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1] * 6],
    )
    assert torch.allclose(padded[0], alone[0], atol=1e-5)
    assert torch.allclose(padded[1], alone[0], atol=1e-5)


def test_batch_order_changes_nothing(backbone):
    ids = [[5, 6, 7, 0], [8, 9, 10, 11], [12, 0, 0, 0]]
    mask = [[1, 1, 1, 0], [1] * 4, [1, 0, 0, 0]]
    straight = _memory_states(backbone, ids, mask)
    turned = _memory_states(backbone, ids[::-1], mask[::-1])
    assert torch.allclose(straight, turned.flip(0), atol=1e-5)


def test_causal_mode_is_untouched_afterwards(backbone):
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    changed = ids.clone()
    changed[0, -1] = 99
    with torch.inference_mode():
        before = backbone(input_ids=ids).last_hidden_state
        _memory_states(backbone, [[5, 6, 7]])
        after = backbone(input_ids=ids).last_hidden_state
        other = backbone(input_ids=changed).last_hidden_state
    assert torch.equal(before, after)
    assert torch.allclose(after[0, :5], other[0, :5], atol=1e-6)
    assert (after[0, 5] - other[0, 5]).abs().max() > 1e-3


def test_the_check_accepts_every_supported_architecture_and_restores_its_mode(backbone):
    backbone.train()
    check_bidirectional(backbone, new_memory(backbone, 4))
    assert backbone.training
    backbone.eval()


def test_the_check_accepts_eager_attention():
    for kind in ("llama", "gpt2"):
        backbone = tiny_backbone(kind)
        backbone.set_attn_implementation("eager")
        check_bidirectional(backbone, new_memory(backbone, 4))


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_an_architecture_that_cannot_is_refused_by_name(kind):
    backbone = tiny_backbone(kind)
    with pytest.raises(
        UnsupportedBackboneError, match=f"{kind} cannot be made to attend in both directions"
    ) as caught:
        check_bidirectional(backbone, new_memory(backbone, 4))
    assert f"architecture {kind}, attention implementation" in caught.value.where
    assert "layer types" in caught.value.where


class _Broken(torch.nn.Module):
    """A llama whose mask is tampered with on its way."""

    def __init__(self, tamper):
        super().__init__()
        self.inner = tiny_backbone("llama")
        self.config = self.inner.config
        self.tamper = tamper

    def get_input_embeddings(self):
        return self.inner.get_input_embeddings()

    def forward(self, **given):
        return self.inner(**self.tamper(given))


def _drop_mask(given):
    return {**given, "attention_mask": None}


def _ignore_padding(given):
    return {**given, "attention_mask": torch.zeros_like(given["attention_mask"])}


def _causal_when_padded(given):
    mask = given["attention_mask"]
    if mask.shape[0] == 1:
        return given
    length = mask.shape[-1]
    causal = torch.full((length, length), torch.finfo(mask.dtype).min).triu(1)
    return {**given, "attention_mask": torch.minimum(mask, causal[None, None])}


@pytest.mark.parametrize(
    ("tamper", "message"),
    [(_drop_mask, r"test 1"), (_ignore_padding, r"test 3"), (_causal_when_padded, r"test 3")],
)
def test_the_check_names_the_test_that_failed(tamper, message):
    backbone = _Broken(tamper).eval()
    with pytest.raises(UnsupportedBackboneError, match=message):
        check_bidirectional(backbone, torch.randn(4, 32))


def test_a_text_ignoring_the_memory_fails_the_second_test():
    class Deaf(_Broken):
        def forward(self, **given):
            found = self.inner(**given)
            text = {
                key: value[..., :12] if key == "attention_mask" else value[:, :12]
                for key, value in given.items()
                if torch.is_tensor(value)
            }
            found.last_hidden_state[:, :12] = self.inner(**text, use_cache=False).last_hidden_state
            return found

    with pytest.raises(UnsupportedBackboneError, match=r"test 2"):
        check_bidirectional(Deaf(lambda given: given).eval(), torch.randn(4, 32))


def test_the_mask_hides_padding_only():
    mask = additive_mask(torch.tensor([[True, False]]), torch.bfloat16)
    assert mask.dtype == torch.bfloat16
    assert mask.shape == (1, 1, 1, 2)
    assert mask[0, 0, 0].tolist() == [0.0, torch.finfo(torch.bfloat16).min]


@pytest.mark.parametrize("kind", ["mistral", "gemma2", "gemma3_text"])
def test_a_sliding_window_bounds_the_length_and_changes_nothing_inside(kind):
    narrow = tiny_backbone(kind, sliding_window=16)
    wide = tiny_backbone(kind, sliding_window=100)
    assert longest_sequence(narrow.config) == 16
    ids = [list(range(5, 17))]  # 12 tokens and 4 memory tokens: exactly the window
    assert torch.allclose(_memory_states(narrow, ids), _memory_states(wide, ids), atol=1e-6)


def test_the_length_is_bounded_by_positions_without_a_window():
    assert longest_sequence(tiny_backbone("llama").config) == 128
    assert longest_sequence(tiny_backbone("gpt2").config) == 128
    assert longest_sequence(tiny_backbone("qwen3", sliding_window=16).config) == 128


@pytest.mark.parametrize(
    ("longest", "is_cpu_bfloat16", "chosen"),
    [(512, True, "eager"), (512, False, "sdpa"), (32_768, True, "sdpa")],
)
def test_plain_attention_is_for_short_texts_in_bfloat16_on_a_processor(longest, is_cpu_bfloat16, chosen):
    backbone = tiny_backbone("llama")
    choose_attention(backbone, longest, is_cpu_bfloat16=is_cpu_bfloat16)
    assert backbone.config._attn_implementation == chosen


def test_attention_temperature_scales_the_scores():
    backbone = tiny_backbone("llama")
    scaling = backbone.layers[0].self_attn.scaling
    plain = _memory_states(backbone, [[5, 6, 7]])
    scale_attention(backbone, 0.5)
    assert backbone.layers[1].self_attn.scaling == pytest.approx(2 * scaling)
    assert (plain - _memory_states(backbone, [[5, 6, 7]])).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["bloom", "falcon"])
def test_attention_temperature_is_refused_where_it_cannot_be_set(kind):
    with pytest.raises(
        UnsupportedBackboneError,
        match=f"{kind} takes no attention temperature: its attention has no scale that could be set",
    ) as caught:
        scale_attention(tiny_backbone(kind), 0.5)
    assert caught.value.where == f"architecture {kind}, attention_temperature 0.5"
    assert caught.value.fix == "leave out temperature=, or set attention_temperature to 1.0"
