"""What a recipe would take agrees with what tiny models really take."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from encoder.errors import ConfigError
from encoder.memory import MemoryModel, new_memory
from train.adapter import attach_adapter
from train.estimate import describe, estimate, estimate_to_json
from train.settings import (
    Adapter,
    Compression,
    CompressRecipe,
    Contrast,
    ContrastiveRecipe,
    Memory,
    Pairs,
    PretrainRecipe,
    Schedule,
    Shape,
    SimcseRecipe,
    Texts,
    Tokenizer,
    Views,
)

TEXTS = Texts(files=("texts.txt",))
PAIRS = (
    Pairs(name="a", files=("a.jsonl",), negatives=("negative",)),
    Pairs(name="b", files=("b.jsonl",)),
)


def _config(**changes):
    return AutoConfig.for_model(
        **{
            "model_type": "llama",
            "vocab_size": 300,
            "hidden_size": 64,
            "intermediate_size": 172,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "max_position_embeddings": 256,
            "pad_token_id": 0,
            "tie_word_embeddings": False,
            **changes,
        }
    )


def _compress(*, schedule=None, adapter=None, **compression):
    return CompressRecipe(
        out="o",
        backbone="b",
        texts=TEXTS,
        schedule=schedule or Schedule(steps=10, batch=8),
        memory=Memory(n_memory=4, max_tokens=100),
        adapter=adapter or Adapter(),
        compression=Compression(**compression),
    )


def _simcse(*, schedule=None, adapter=None, mini_batch=4):
    return SimcseRecipe(
        out="o",
        encoder="e",
        texts=TEXTS,
        schedule=schedule or Schedule(steps=10, batch=16),
        views=Views(max_tokens=50, mini_batch=mini_batch),
        adapter=adapter or Adapter(),
    )


def _contrastive(**changes):
    return ContrastiveRecipe(
        out="o",
        encoder="e",
        pairs=PAIRS,
        schedule=Schedule(**{"steps": 10, "batch": 64, **changes}),
        contrast=Contrast(mini_batch=8, max_query_tokens=30, max_document_tokens=60),
    )


def _pretrain(**changes):
    return PretrainRecipe(
        out="o",
        texts=TEXTS,
        schedule=Schedule(**{"steps": 10, "batch": 8, **changes}),
        tokenizer=Tokenizer(vocabulary=300),
        shape=Shape(width=64, layers=2, heads=4, mlp=172, window=32, max_positions=64),
    )


def _after_a_step(model, memory=None):
    """Bytes of trained weights, of their gradients, and of AdamW's state after one step."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    trained += [] if memory is None else [memory]
    for weight in trained:
        weight.grad = torch.ones_like(weight)
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    optimizer.step()
    state = sum(value.nbytes for held in optimizer.state.values() for value in held.values())
    return sum(w.nbytes for w in trained), sum(w.grad.nbytes for w in trained), state


def _said(found):
    return found.memory.trained_weights, found.memory.gradients, found.memory.optimizer


def _bytes_of(model):
    return sum(weight.nbytes for weight in model.parameters())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_an_adapter_takes_the_bytes_that_are_said(kind, tied):
    config = _config(model_type=kind, tie_word_embeddings=tied)
    found = estimate(_compress(schedule=Schedule(steps=1, batch=8, dtype="bfloat16")), config)
    model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    frozen = _bytes_of(model)
    memory = new_memory(model.base_model, 4)
    adapted = attach_adapter(model.base_model, Adapter())
    assert _said(found) == _after_a_step(adapted, memory)
    assert found.memory.frozen_weights == frozen
    assert found.trained_parameters == sum(
        w.numel() for w in (*adapted.parameters(), memory) if w.requires_grad
    )


def test_all_weights_take_the_bytes_that_are_said_and_a_second_copy():
    config = _config()
    found = estimate(_compress(adapter=Adapter(lora=False)), config)
    model = AutoModelForCausalLM.from_config(config)
    assert found.memory.frozen_weights == _bytes_of(model)
    memory = new_memory(model.base_model, 4)
    assert _said(found) == _after_a_step(model.base_model, memory)


def test_a_language_model_from_scratch_takes_the_bytes_that_are_said():
    found = estimate(_pretrain())
    model = AutoModelForCausalLM.from_config(
        _config(num_hidden_layers=2, max_position_embeddings=64, tie_word_embeddings=True)
    )
    assert _said(found) == _after_a_step(model)
    assert found.memory.frozen_weights == 0


def test_under_an_adapter_memory_tokens_are_trained_in_the_first_stage_alone():
    first, second = estimate(_compress(), _config()), estimate(_simcse(), _config(), n_memory=4)
    assert first.trained_parameters - second.trained_parameters == 4 * 64
    assert second.frozen_parameters == first.frozen_parameters - 300 * 64 + 4 * 64  # no head


@pytest.mark.parametrize("objective", ["mntp", "ebae", "ebar"])
def test_objectives_without_decoder_hold_no_second_copy(objective):
    found = estimate(_compress(adapter=Adapter(lora=False), objective=objective), _config())
    assert found.frozen_parameters == 300 * 64
    assert set(found.flops) == {"encoder"}


@pytest.mark.parametrize("trains", ["adapter", "all"])
def test_an_encoder_keeps_about_the_activations_that_are_said(trains):
    config, adapter = _config(), Adapter(lora=trains == "adapter", dropout=0.0)
    schedule = Schedule(steps=1, batch=16, dtype="float32")
    found = estimate(_simcse(schedule=schedule, adapter=adapter), config, n_memory=4)
    backbone = AutoModelForCausalLM.from_config(config).base_model
    memory = new_memory(backbone, 4)
    model = MemoryModel(attach_adapter(backbone, adapter) if adapter.lora else backbone, memory).train()
    own = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}
    kept = []

    def pack(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        ids = torch.ones(4, 51, dtype=torch.int64)  # a mini-batch of the longest texts with BOS
        states = model(ids, torch.ones_like(ids))
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
    measured = sum(size for pointer, size in storages.items() if pointer not in own)
    assert states.requires_grad
    assert 0.95 <= found.memory.activations / measured <= 1.25


@pytest.mark.parametrize("trains", ["adapter", "all"])
def test_the_arithmetic_of_an_encoder_is_that_of_the_products_it_makes(trains):
    config, adapter = _config(), Adapter(lora=trains == "adapter", dropout=0.0)
    found = estimate(_simcse(schedule=Schedule(steps=1, batch=2), adapter=adapter), config, n_memory=4)
    backbone = AutoModelForCausalLM.from_config(config, attn_implementation="eager").base_model
    memory = new_memory(backbone, 4)
    model = MemoryModel(attach_adapter(backbone, adapter) if adapter.lora else backbone, memory).train()
    ids = torch.ones(4, 51, dtype=torch.int64)  # both views of two texts, with BOS
    with FlopCounterMode(display=False) as counter:
        with torch.no_grad():
            model(ids, torch.ones_like(ids))  # the vectors that gradients are cached for
        model(ids, torch.ones_like(ids)).sum().backward()
    assert found.flops["encoder"] == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_six_for_training_four_through_frozen_weights_two_for_the_teacher():
    wide = _config(hidden_size=1024, intermediate_size=4096, num_attention_heads=8, vocab_size=301)
    found = estimate(_compress(adapter=Adapter(lora=False), splits=1), wide)
    layers = 3 * (4 * 1024**2 + 3 * 1024 * 4096)
    tokens = 10 * 8 * (50 + 5)
    assert found.flops["encoder"] == pytest.approx(6 * layers * tokens, rel=0.02)
    assert found.flops["decoder"] == pytest.approx(4 * layers * tokens, rel=0.05)
    assert found.flops["teacher"] == pytest.approx(2 * layers * 10 * 8 * 101, rel=0.05)


def test_checkpointing_computes_the_trained_model_once_more_and_not_the_decoder():
    plain = estimate(_compress(), _config())
    twice = estimate(_compress(schedule=Schedule(steps=10, batch=8, gradient_checkpointing=True)), _config())
    assert twice.flops["encoder"] > 1.3 * plain.flops["encoder"]
    assert twice.flops["decoder"] == plain.flops["decoder"]
    assert twice.memory.activations < plain.memory.activations
    assert twice.memory == plain.memory_checkpointed


def test_tokens_are_bounded_and_expected_from_a_mean_length():
    found = estimate(_compress(splits=1), _config(), mean_tokens=60)
    assert (found.texts, found.most_tokens, found.expected_tokens) == (80, 8000, 2400)
    found = estimate(_compress(splits=2), _config())
    assert (found.most_tokens, found.expected_tokens) == (12000, 8000)
    found = estimate(_simcse(), _config(), mean_tokens=1e9)
    assert (found.texts, found.most_tokens, found.expected_tokens) == (320, 8000, 8000)
    found = estimate(_contrastive(), _config(), mean_tokens=40)
    assert (found.texts, found.most_tokens, found.expected_tokens) == (1920, 96000, 640 * 110)
    found = estimate(_pretrain())
    assert (found.texts, found.most_tokens) == (80, 2560)


def test_several_devices_share_the_batch_and_exchange_gradients():
    one, four = (estimate(_compress(), _config(), devices=count) for count in (1, 4))
    assert (one.device_batch, four.device_batch) == (8, 2)
    assert four.memory.activations == one.memory.activations / 4
    assert (one.memory.gradient_buckets, four.memory.gradient_buckets) == (0, four.memory.gradients)
    assert one.flops == four.flops


def test_with_cached_gradients_the_mini_batch_alone_decides_about_activations():
    large, small = estimate(_simcse(mini_batch=8), _config()), estimate(_simcse(mini_batch=4), _config())
    assert large.memory.activations == 2 * small.memory.activations
    assert small.in_flight_setting == "views.mini_batch"
    assert estimate(_simcse(mini_batch=64), _config()).mini_batch == 16


def test_float32_weights_under_bfloat16_products_are_copied():
    schedule = Schedule(steps=1, batch=16, dtype="bfloat16")
    kept, copied = (estimate(_simcse(schedule=schedule), _config(), frozen_bytes=size) for size in (2, 4))
    layers = 3 * (4 * 64**2 + 3 * 64 * 172 + 2 * 64) + 64
    assert (kept.memory.weight_copies, copied.memory.weight_copies) == (0, 2 * layers)
    assert copied.memory_checkpointed.weight_copies == round(2 * layers / 3)


def test_the_largest_batch_that_fits_is_found():
    recipe = _compress(schedule=Schedule(steps=1, batch=24))
    whole = estimate(recipe, _config())
    tight = estimate(recipe, _config(), device_bytes=0.7 * whole.memory.total)
    assert not tight.fits
    assert 0 < tight.largest_plain < 24
    assert 24 % tight.largest_plain == 0
    schedule = Schedule(steps=1, batch=24, device_batch=tight.largest_plain)
    assert estimate(_compress(schedule=schedule), _config(), device_bytes=tight.device_bytes).fits


def _verdict(recipe, device_bytes, config=None):
    return next(
        line for line in describe(estimate(recipe, config, device_bytes=device_bytes)) if "fit" in line
    )


def test_what_fits_is_said_with_what_else_would():
    line = _verdict(_compress(), 80e9, _config())
    assert line.startswith(
        "fits (72.0 GB usable of 80.0 GB; schedule.device_batch up to 8; with gradient check"
    )


def test_a_smaller_batch_is_proposed_where_it_helps():
    total = estimate(_simcse(mini_batch=16), _config()).memory.total
    assert ": set views.mini_batch to 8" in _verdict(_simcse(mini_batch=16), 0.8 * total, _config())


def test_checkpointing_is_proposed_where_no_batch_fits_without():
    config = _config(num_hidden_layers=12, vocab_size=16)
    recipe = _simcse(schedule=Schedule(steps=1, batch=16), mini_batch=1)
    found = estimate(recipe, config)
    between = (found.memory_plain.total + found.memory_checkpointed.total) / 2 / 0.9
    line = _verdict(recipe, between, config)
    assert "set schedule.gradient_checkpointing to true and views.mini_batch to at most" in line


@pytest.mark.parametrize(
    ("recipe", "advice"),
    [
        (_compress(adapter=Adapter(lora=False)), "not even one at a time: set adapter.lora to true"),
        (_compress(), "lower max_tokens, or take a smaller backbone"),
        (_pretrain(), "make shape.layers, shape.width or shape.window smaller"),
    ],
)
def test_what_can_never_fit_is_said_with_what_to_change(recipe, advice):
    config = None if isinstance(recipe, PretrainRecipe) else _config()
    assert advice in _verdict(recipe, 1000, config)


def test_a_description_has_the_plan_the_parameters_and_the_work():
    schedule = Schedule(steps=10, batch=8, device_batch=2)
    lines = describe(estimate(_compress(schedule=schedule, splits=1), _config(), mean_tokens=60))
    assert lines[0] == "compress: 10 steps of 8, 2 at a time on 1 device, 4 times an update"
    assert lines[1] == "texts: 80 encoded, at most 8,000 tokens, 2,400 at 60 a text"
    assert lines[2] == "parameters: 52,672 trained, 187,072 frozen"
    assert lines[3].startswith("memory of a device: ")
    assert lines[5].startswith("work: ")
    assert "teacher" in lines[5]


def test_no_time_is_named_without_a_measured_speed():
    found = estimate(_compress(), _config())
    assert not any("hour" in line for line in describe(found))
    assert describe(found, tokens_per_second=1.0)[-1] == "time: 2.2 hours at 1 tokens/s"


def test_negatives_lost_by_accumulation_are_said():
    lines = describe(estimate(_contrastive(device_batch=16), _config()))
    assert "in-batch negatives come from 16 of the 64; set schedule.device_batch to 0" in lines[-1]
    assert not any("negatives" in line for line in describe(estimate(_contrastive(), _config())))


def test_texts_longer_than_the_window_are_refused():
    with pytest.raises(
        ConfigError, match=r"Text, BOS and memory tokens make 105 tokens, the backbone takes 90\."
    ):
        estimate(_compress(), _config(max_position_embeddings=90))


def test_an_impossible_batch_is_refused():
    with pytest.raises(ConfigError, match="A batch of 8 cannot be spread over 3 devices"):
        estimate(_compress(), _config(), devices=3)


def test_an_unknown_target_of_the_adapter_is_refused():
    with pytest.raises(ConfigError, match="no linear layer called 'x_proj'"):
        estimate(_compress(adapter=Adapter(targets=("x_proj",))), _config())


def test_the_configuration_given_is_left_as_it_was():
    config = _config()
    before = config.to_dict()
    estimate(_compress(), config)
    assert config.to_dict() == before


def test_an_estimate_is_json():
    content = json.loads(json.dumps(estimate_to_json(estimate(_compress(), _config()))))
    assert content["memory_bytes"] == sum(content["memory_plain"].values())
    assert content["fits"] is True
