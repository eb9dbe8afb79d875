import copy
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from encoder.errors import ConfigError
from encoder.memory import MemoryModel, new_memory
from tests.encoder.tiny import tiny_backbone
from train.compression.bags import BagOfTokens
from train.objectives.head import LinearHead
from train.settings import Compression

_BOS = 1
_LENGTHS = (11, 4, 7)
_SPLITS = ((3, 8), (1, 2), (2, 5))


def _language_model(kind):
    torch.manual_seed(2)
    model = AutoModelForCausalLM.from_config(tiny_backbone(kind, tie_word_embeddings=False).config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.1)
    return model


def _module(objective, kind="llama", *, bos_id=_BOS, **changes):
    """An adapter and memory tokens under the objective, and the head."""
    model = _language_model(kind)
    head = LinearHead(model.get_output_embeddings())
    lora = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    backbone = get_peft_model(model.base_model, lora).eval()
    settings = replace(Compression(objective=objective), **changes)
    encoder = MemoryModel(backbone, new_memory(backbone, 3))
    return BagOfTokens(encoder, head, bos_id=bos_id, settings=settings)


def _batch(*, padding=0):
    random = torch.Generator().manual_seed(4)
    ids = torch.randint(3, 60, (3, max(_LENGTHS)), generator=random)  # few tokens, so that some repeat
    length = torch.tensor(_LENGTHS)
    ids = ids.masked_fill(torch.arange(ids.shape[1]) >= length[:, None], padding)
    return ids, length, torch.tensor(_SPLITS)


def _brute_force(module, *, is_ebar):
    """Loss of a copy in float64, one unpadded text and split at a time; its gradients by name."""
    exact = copy.deepcopy(module).double()
    exact.head.layer.double()
    ids, length, splits = _batch()
    losses = []
    for row, count, cuts in zip(ids.tolist(), length.tolist(), splits.tolist(), strict=True):
        for cut in cuts if is_ebar else [count]:
            named = set(row[cut:count]) if is_ebar else set(row[:count])
            read = [_BOS, *row[:cut]] if module.bos_id is not None else row[:cut]
            text = exact.encoder.backbone.get_input_embeddings()(torch.tensor(read))
            sequence = torch.cat([text, exact.encoder.memory])[None]
            states = exact.encoder.backbone(
                inputs_embeds=sequence,
                attention_mask=torch.zeros(1, 1, sequence.shape[1], sequence.shape[1], dtype=torch.float64),
                position_ids=torch.arange(sequence.shape[1])[None],
                use_cache=False,
            ).last_hidden_state[0, len(read) :]
            log_probability = exact.head(states).max(dim=0).values.log_softmax(dim=0)
            losses.append(-log_probability[sorted(named)].mean() / 10)
    loss = torch.stack(losses).mean()
    loss.backward()
    return loss, {name: each.grad for name, each in exact.named_parameters() if each.grad is not None}


def _worst(module, gradients):
    """Relative errors of the gradient as a whole, and of the parameter where it is largest."""
    trained = {name: each.grad for name, each in module.named_parameters() if each.requires_grad}
    assert len(trained) > 10 and "encoder.memory" in trained
    errors = {name: (each - gradients[name]).norm() for name, each in trained.items()}
    norms = {name: gradients[name].norm() for name in trained}
    whole = torch.stack(list(errors.values())).norm() / torch.stack(list(norms.values())).norm()
    return whole, max(errors[name] / norms[name] for name in trained)


@pytest.mark.parametrize("bos_id", [_BOS, None])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("objective", ["ebae", "ebar"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_and_gradients_are_those_of_the_formula(dtype, objective, kind, bos_id):
    module = _module(objective, kind, bos_id=bos_id, chunk_rows=5).to(dtype)
    module.head.layer.to(dtype)
    found = module(*_batch())["loss"]
    found.backward()
    expected, gradients = _brute_force(module, is_ebar=objective == "ebar")
    whole, worst = _worst(module, gradients)
    assert abs(found - expected) <= 1e-5 * expected
    assert whole <= 1e-5
    # In float32 a single parameter's gradient is as exact as the decoder's own rounding lets it be.
    assert dtype == torch.float32 or worst <= 1e-6


@pytest.mark.parametrize("objective", ["ebae", "ebar"])
def test_what_stands_in_the_padding_does_not_matter(objective):
    module = _module(objective)
    ids, length, splits = _batch()
    longer = torch.cat([ids, torch.full((3, 5), 7)], dim=1)
    found = [module(each, length, splits)["loss"] for each in (ids, _batch(padding=9)[0], longer)]
    assert torch.allclose(torch.stack(found), found[0].expand(3), atol=1e-6)


def test_ebae_passes_the_splits_over():
    module = _module("ebae")
    ids, length, splits = _batch()
    assert module(ids, length, splits)["loss"] == module(ids, length, splits + 1)["loss"]


def test_a_context_does_not_see_its_continuation():
    module = _module("ebar")
    seen = []
    module.encoder.register_forward_hook(lambda _, given, __: seen.append(given))
    module(*_batch())
    ((ids, is_read),) = seen
    assert is_read.sum(dim=1).tolist() == [1 + cut for cuts in _SPLITS for cut in cuts]
    assert ids.shape[1] == 1 + 8  # no longer than the longest context


@pytest.mark.parametrize(("objective", "tokens"), [("ebae", sum(_LENGTHS)), ("ebar", sum(map(sum, _SPLITS)))])
def test_tokens_are_those_that_the_encoder_read(objective, tokens):
    found = _module(objective)(*_batch())["tokens"]
    assert (found.item(), found.dtype) == (tokens, torch.int64)


@pytest.mark.parametrize("objective", ["ebae", "ebar"])
def test_it_can_be_learnt(objective):
    torch.manual_seed(0)
    module = _module(objective)
    optimizer = torch.optim.AdamW([each for each in module.parameters() if each.requires_grad], lr=0.02)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        losses.append(module(*_batch())["loss"])
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_bfloat16_by_autocast_gives_nearly_the_same_loss():
    module = _module("ebar")
    exact = module(*_batch())["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        found = module(*_batch())["loss"]
    found.backward()
    assert found.dtype == torch.float32
    assert abs(found - exact) < 2e-2 * exact
    assert module.encoder.memory.grad.isfinite().all()


def test_another_objective_is_refused():
    with pytest.raises(ConfigError, match="objective is 'ctkd', BagOfTokens knows ebae and ebar"):
        _module("ctkd")
