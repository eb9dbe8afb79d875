import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from encoder.errors import ConfigError
from tests.encoder.tiny import tiny_backbone, tiny_tokenizer
from train.compression.masked import MaskedNextToken, mask_token
from train.objectives.head import LinearHead
from train.objectives.masked_next_token import draw_mask
from train.settings import Compression

_BOS, _MASK = 1, 66
_LENGTHS = (11, 4, 7)
_SHARE = 0.4


def _module(kind="llama", *, bos_id=_BOS, seed=0):
    """An adapter under the objective, in evaluation mode."""
    torch.manual_seed(2)
    model = AutoModelForCausalLM.from_config(tiny_backbone(kind, tie_word_embeddings=False).config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.1)
    lora = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    backbone = get_peft_model(model.base_model, lora)
    settings = Compression(objective="mntp", mask_share=_SHARE, chunk_rows=3)
    head = LinearHead(model.get_output_embeddings())
    return MaskedNextToken(backbone, head, bos_id=bos_id, mask_id=_MASK, settings=settings, seed=seed).eval()


def _batch(*, padding=0):
    random = torch.Generator().manual_seed(4)
    ids = torch.randint(3, 60, (3, max(_LENGTHS)), generator=random)
    length = torch.tensor(_LENGTHS)
    ids = ids.masked_fill(torch.arange(ids.shape[1]) >= length[:, None], padding)
    return ids, length, torch.tensor([[2, 3]] * 3)


def _brute_force(module, masks):
    """Loss of a copy in float64, one unpadded text and masked token at a time; its gradients by name."""
    exact = copy.deepcopy(module).double()
    exact.head.layer.double()
    ids, length, _ = _batch()
    texts = []
    for row, count, mask in zip(ids.tolist(), length.tolist(), masks.tolist(), strict=True):
        tokens = [_BOS, *row[:count]] if module.bos_id is not None else row[:count]
        read = [_MASK if hidden else token for token, hidden in zip(tokens, mask, strict=False)]
        size = len(tokens)
        states = exact.backbone(
            inputs_embeds=exact.backbone.get_input_embeddings()(torch.tensor([read])),
            attention_mask=torch.zeros(1, 1, size, size, dtype=torch.float64),
            position_ids=torch.arange(size)[None],
            use_cache=False,
        ).last_hidden_state[0]
        losses = []
        for place in range(size):
            if mask[place]:
                logits = exact.head.layer(states[place - 1])
                losses.append(-logits.log_softmax(dim=0)[tokens[place]])
        texts.append(torch.stack(losses).mean())
    loss = torch.stack(texts).mean()
    loss.backward()
    return loss, {name: each.grad for name, each in exact.named_parameters() if each.grad is not None}


def _worst(module, gradients):
    """Relative errors of the gradient as a whole, and of the parameter where it is largest."""
    trained = {name: each.grad for name, each in module.named_parameters() if each.requires_grad}
    assert len(trained) > 10
    errors = {name: (each - gradients[name]).norm() for name, each in trained.items()}
    norms = {name: gradients[name].norm() for name in trained}
    whole = torch.stack(list(errors.values())).norm() / torch.stack(list(norms.values())).norm()
    return whole, max(errors[name] / norms[name] for name in trained)


@pytest.mark.parametrize("bos_id", [_BOS, None])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_and_gradients_are_those_of_the_formula(dtype, kind, bos_id):
    module = _module(kind, bos_id=bos_id, seed=5).to(dtype)
    module.head.layer.to(dtype)
    found = module(*_batch())["loss"]
    found.backward()
    # BOS stands first, or else the first token may not be masked: column 0 is free either way.
    end = torch.tensor(_LENGTHS)[:, None] + (bos_id is not None)
    position = torch.arange(max(_LENGTHS) + (bos_id is not None))
    may_mask = (position > 0) & (position < end)
    masks = draw_mask(may_mask, _SHARE, torch.Generator().manual_seed(5))
    expected, gradients = _brute_force(module, masks)
    whole, worst = _worst(module, gradients)
    assert abs(found - expected) <= 1e-5 * expected
    assert whole <= 1e-5
    # In float32 a single parameter's gradient is as exact as the decoder's own rounding lets it be.
    assert dtype == torch.float32 or worst <= 1e-6


def test_what_stands_in_the_padding_does_not_matter():
    module = _module()
    found = module(*_batch())["loss"]
    assert torch.allclose(module(*_batch(padding=9))["loss"], found, atol=1e-6)


def test_the_splits_are_passed_over():
    module = _module()
    ids, length, splits = _batch()
    assert module(ids, length, splits)["loss"] == module(ids, length)["loss"]


def test_tokens_are_those_of_the_texts():
    found = _module()(*_batch())["tokens"]
    assert (found.item(), found.dtype) == (sum(_LENGTHS), torch.int64)


def test_in_evaluation_a_batch_is_always_masked_alike():
    module = _module()
    state = torch.get_rng_state()
    assert module(*_batch())["loss"] == module(*_batch())["loss"]
    assert torch.equal(torch.get_rng_state(), state)  # what is trained next does not depend on it
    assert module(*_batch())["loss"] != _module(seed=1)(*_batch())["loss"]


def test_in_training_masks_are_new_and_come_again_from_the_same_state():
    module = _module().train()
    torch.manual_seed(3)
    first, second = (module(*_batch())["loss"] for _ in range(2))
    torch.manual_seed(3)
    assert module(*_batch())["loss"] == first != second


def test_it_can_be_learnt():
    module = _module()  # in evaluation masks stay the same
    optimizer = torch.optim.AdamW([each for each in module.parameters() if each.requires_grad], lr=0.02)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(module(*_batch())["loss"])
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


def test_bfloat16_by_autocast_gives_nearly_the_same_loss():
    module = _module()
    exact = module(*_batch())["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        found = module(*_batch())["loss"]
    found.backward()
    assert found.dtype == torch.float32
    assert abs(found - exact) < 2e-2 * exact


def test_a_text_of_one_token_without_bos_does_no_harm():
    module = _module(bos_id=None)
    ids, length, _ = _batch()
    length[1] = 1
    found = module(ids, length)["loss"]
    found.backward()
    assert found.isfinite()


def test_the_mask_is_the_tokenizers_own_else_the_underscore():
    tokenizer = tiny_tokenizer()
    assert mask_token(tokenizer) == tokenizer.convert_tokens_to_ids("_")
    tokenizer.add_special_tokens({"mask_token": "<mask>"})
    assert mask_token(tokenizer) == tokenizer.mask_token_id


class _Plain:
    """A tokenizer whose vocabulary has no underscore."""

    mask_token_id = None

    def __init__(self, eos_token_id):
        self.eos_token_id = eos_token_id

    def get_vocab(self):
        return {"a": 0, "b": 1}


def test_without_an_underscore_the_mask_is_the_end_of_text():
    assert mask_token(_Plain(0)) == 0


def test_a_tokenizer_without_any_of_them_is_refused():
    with pytest.raises(ConfigError, match="no mask token, no token '_' and no end of text"):
        mask_token(_Plain(None))
