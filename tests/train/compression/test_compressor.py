"""The compressor against the formulas over two copies with all logits, in float64."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from benchmarks.plain_ctkd import PAPER_TARGETS, PlainCompressor
from encoder.errors import ConfigError, ShapeError
from encoder.memory import MemoryModel, new_memory
from tests.train.objectives.tiny_lm import tiny_lm
from train.adapter import attach_adapter
from train.compression import compressor as module
from train.compression.compressor import OBJECTIVES, Compressor
from train.compression.decoding import Taught
from train.compression.twin import copy_decoder, share_decoder
from train.settings import Adapter, Compression

_RANDOM = torch.Generator().manual_seed(4)
TEXTS = [torch.randint(3, 300, (length,), generator=_RANDOM) for length in (30, 12, 45, 21)]
SPLITS = torch.tensor([[3, 17], [2, 7], [10, 40], [1, 20]])
LENGTHS = torch.tensor([len(text) for text in TEXTS])
N_MEMORY = 3
BOS = 1
TARGETS = {"gpt2": ("c_attn", "c_proj", "c_fc")}


def _batch(padding=0):
    return pad_sequence(TEXTS, batch_first=True, padding_value=padding), LENGTHS, SPLITS


def _compressor(kind="llama", objective="ctkd", *, bos_id=BOS, dropout=0.0, lora=True, **options):
    """A compressor whose adapter is not at its start, where half of it has no gradient."""
    model = tiny_lm(kind)
    decoder = share_decoder(model) if lora else copy_decoder(model)
    memory = new_memory(model.base_model, N_MEMORY)
    backbone = attach_adapter(model.base_model, Adapter(dropout=dropout)) if lora else model.base_model
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=random))
    settings = Compression(objective=objective, splits=2, chunk_rows=16)
    made = Compressor(MemoryModel(backbone, memory), decoder, bos_id=bos_id, settings=settings, **options)
    if dropout == 0.0:
        made.eval()  # gpt2 has a dropout of its own
    return made


def _oracle(ours, kind, *, bos_id, lora=True):
    """The plain implementation with the same weights, in float64."""
    targets = TARGETS.get(kind, PAPER_TARGETS) if lora else None
    plain = PlainCompressor(tiny_lm(kind), ours.encoder.memory, bos_id, targets=targets, dropout=0.0)
    theirs = dict(plain.backbone.named_parameters())
    with torch.no_grad():
        for name, parameter in ours.encoder.backbone.named_parameters():
            theirs[name].copy_(parameter)
    return plain.eval().double()


def _gradients(backbone, memory):
    """Gradients of the trained weights by name, of the memory tokens too."""
    found = {name: p.grad for name, p in backbone.named_parameters() if p.requires_grad}
    return {**found, "memory": memory.grad}


def _relative(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def _run(model, batch=None):
    model.zero_grad()
    found = model(*(batch or _batch()))
    found["loss"].backward()
    return found["loss"].detach(), _gradients(model.encoder.backbone, model.encoder.memory)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("bos_id", [BOS, None], ids=["with_bos", "without_bos"])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt2", "gemma2", "gemma3_text", "granite"])
def test_loss_and_gradients_are_those_of_the_formula(kind, bos_id, objective):
    ours = _compressor(kind, objective, bos_id=bos_id, pass_tokens=70)
    plain = _oracle(ours, kind, bos_id=bos_id)
    loss, gradients = _run(ours)
    expected = plain.loss(objective, TEXTS, SPLITS.tolist())
    expected.backward()
    assert _relative(loss, expected.detach()) < 1e-5
    theirs = _gradients(plain.backbone, plain.memory)
    assert gradients.keys() == theirs.keys()
    together = [torch.cat([found[name].flatten() for name in theirs]) for found in (gradients, theirs)]
    assert _relative(*together) < 1e-5
    assert _relative(gradients["memory"], theirs["memory"]) < 1e-5


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_second_copy_of_the_weights_lets_all_of_them_train(objective):
    ours = _compressor("llama", objective, lora=False)
    plain = _oracle(ours, "llama", bos_id=BOS, lora=False)
    loss, gradients = _run(ours)
    expected = plain.loss(objective, TEXTS, SPLITS.tolist())
    expected.backward()
    assert _relative(loss, expected.detach()) < 1e-5
    theirs = _gradients(plain.backbone, plain.memory)
    assert all(_relative(gradients[name], theirs[name]) < 1e-5 for name in theirs)


def _later_student(monkeypatch):
    own = module.continue_memory
    monkeypatch.setattr(module, "continue_memory", lambda *given: own(*given).roll(-1, dims=0))


def _later_teacher(monkeypatch):
    own = Taught.rows
    monkeypatch.setattr(Taught, "rows", lambda self, some: own(self, some).roll(-1, dims=0))


def _later_target(monkeypatch):
    own = module.predicted_tokens
    monkeypatch.setattr(module, "predicted_tokens", lambda *given: own(*given).roll(-1, dims=0))


def _neighbours_memory(monkeypatch):
    own = Compressor._encode
    monkeypatch.setattr(Compressor, "_encode", lambda self, *given: own(self, *given).roll(1, dims=0))


@pytest.mark.parametrize(
    ("mistake", "objective"),
    [
        (_later_student, "ctkd"),
        (_later_student, "nll"),
        (_later_teacher, "ctkd"),
        (_later_target, "nll"),
        (_later_target, "reconstruction"),
        (_neighbours_memory, "ctkd"),
        (_neighbours_memory, "reconstruction"),
    ],
)
def test_the_formula_notices_a_place_too_far(monkeypatch, mistake, objective):
    # Guards the tests above: with states of the next place, or the memory of the neighbour, loss and gradient must
    # be far beyond their tolerance on these random weights.
    ours = _compressor("llama", objective)
    plain = _oracle(ours, "llama", bos_id=BOS)
    expected = plain.loss(objective, TEXTS, SPLITS.tolist())
    expected.backward()
    mistake(monkeypatch)
    loss, gradients = _run(ours)
    assert _relative(loss, expected.detach()) > 2e-5
    assert _relative(gradients["memory"], plain.memory.grad) > 0.1


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_passes_and_padding_change_nothing(objective):
    whole = _run(_compressor(objective=objective, pass_tokens=100_000), _batch(padding=0))
    single = _run(_compressor(objective=objective, pass_tokens=1), _batch(padding=299))
    assert _relative(single[0], whole[0]) < 1e-6
    assert all(_relative(single[1][name], whole[1][name]) < 1e-5 for name in whole[1])


def test_the_loss_of_a_batch_is_the_mean_over_its_texts():
    model = _compressor()
    together = _run(model)[0]
    alone = [
        _run(model, (text[None], LENGTHS[n : n + 1], SPLITS[n : n + 1]))[0] for n, text in enumerate(TEXTS)
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean())


@pytest.mark.parametrize(("objective", "expected"), [("ctkd", 100), ("nll", 100), ("reconstruction", 108)])
def test_tokens_are_those_that_the_encoder_read(objective, expected):
    tokens = _compressor(objective=objective)(*_batch())["tokens"]
    assert tokens.dtype == torch.int64
    assert int(tokens) == expected  # neither start tokens, nor memory, nor padding


def test_the_teacher_reads_each_text_once():
    model = _compressor()
    read = {True: 0, False: 0}

    def note(_module, _given, options, _found):
        read[torch.is_grad_enabled()] += len(options["inputs_embeds"])

    model.decoder.base_model.register_forward_hook(note, with_kwargs=True)
    model(*_batch())
    assert read == {False: len(TEXTS), True: SPLITS.numel()}


def test_the_decoder_attends_by_the_fast_path(monkeypatch):
    # An explicit mask, even one that hides nothing, would keep attention off it.
    model, calls = _compressor(), []
    own = nn.functional.scaled_dot_product_attention

    def note(*given, attn_mask=None, is_causal=False, **options):
        calls.append((attn_mask is None, is_causal))
        return own(*given, attn_mask=attn_mask, is_causal=is_causal, **options)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", note)
    with torch.no_grad():
        model(*_batch())
    assert {call for call in calls if call[0]} == {(True, True)}
    masked = sum(not is_bare for is_bare, _ in calls)
    monkeypatch.setattr(model, "_teach", lambda *_given: None)
    monkeypatch.setattr(model, "_judge", lambda ids, *_rest: ids.sum())
    calls.clear()
    with torch.no_grad():
        model(*_batch())
    assert masked == len(calls)  # the encoder's and nobody else's


def test_gradient_checkpointing_changes_no_gradient():
    losses = []
    for is_checkpointed in (False, True):
        model = _compressor(dropout=0.1).train()
        if is_checkpointed:
            inner = model.encoder.backbone.base_model.model
            inner.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        torch.manual_seed(0)
        losses.append(_run(model))
    assert torch.equal(losses[0][0], losses[1][0])
    assert all(torch.equal(losses[0][1][name], losses[1][1][name]) for name in losses[0][1])


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_autocast_gives_about_the_same_gradients(kind):
    exact, model = _run(_compressor(kind)), _compressor(kind)
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(*_batch())["loss"]
    loss.backward()
    gradients = _gradients(model.encoder.backbone, model.encoder.memory)
    assert loss.dtype == torch.float32
    assert 0 < _relative(loss.detach(), exact[0]) < 0.02
    assert all(gradient.dtype == torch.float32 for gradient in gradients.values())
    together = [torch.cat([found[name].flatten() for name in exact[1]]) for found in (gradients, exact[1])]
    assert _relative(*together) < 0.1


def test_a_backbone_in_bfloat16_trains_too():
    model = _compressor()
    model.encoder.backbone.to(torch.bfloat16)
    model.decoder.to(torch.bfloat16)
    loss, gradients = _run(model)
    assert abs(float(loss) - float(_run(_compressor())[0])) < 0.05 * float(loss)
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_without_gradients_the_loss_is_the_same_and_has_no_graph():
    model = _compressor()
    with torch.no_grad():
        bare = model(*_batch())["loss"]
    assert not bare.requires_grad
    torch.testing.assert_close(bare, _run(model)[0])


def test_training_mode_leaves_the_decoder_out():
    model = _compressor("gpt2")
    model.train()
    assert model.encoder.training
    assert not any(part.training for part in model.decoder.modules())


def test_the_decoder_gets_no_gradient_and_no_adapter():
    model = _compressor(lora=False)
    _run(model)
    assert all(parameter.grad is None for parameter in model.decoder.parameters())
    names = {name for name, parameter in _compressor().named_parameters() if parameter.requires_grad}
    assert all(name == "encoder.memory" or "lora_" in name for name in names)


def test_it_trains_within_distributed_data_parallel(tmp_path):
    # Two steps: a weight without a gradient in the first would be an error in the second.
    expected = _run(_compressor())[1]
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = _compressor()
        wrapped = nn.parallel.DistributedDataParallel(model)
        for _ in range(2):
            wrapped.zero_grad()
            wrapped(*_batch())["loss"].backward()
    finally:
        torch.distributed.destroy_process_group()
    found = _gradients(model.encoder.backbone, model.encoder.memory)
    assert all(_relative(found[name], expected[name]) < 1e-5 for name in expected)


@pytest.mark.slow
def test_compiled_layers_give_the_same_gradients():
    expected = _run(_compressor())
    model = _compressor()
    compiled = []

    def backend(graph, _inputs):
        compiled.append(graph)
        return graph.forward

    model.compile(backend=backend, dynamic=True)
    found = _run(model)
    assert len(compiled) >= 2  # encoder and decoder
    assert _relative(found[0], expected[0]) < 1e-5
    assert all(_relative(found[1][name], expected[1][name]) < 1e-4 for name in expected[1])


def test_the_memory_has_a_gradient_for_a_text_of_one_split():
    loss, gradients = _run(_compressor(), (TEXTS[0][None], LENGTHS[:1], SPLITS[:1, :1]))
    assert loss.isfinite()
    assert gradients["memory"].any()


def test_a_split_outside_of_its_text_is_refused():
    with pytest.raises(ShapeError, match="do not all lie within texts"):
        _compressor()(_batch()[0], LENGTHS, LENGTHS[:, None])


def test_an_objective_without_decoder_is_refused():
    model = tiny_lm()
    memory = MemoryModel(model.base_model, new_memory(model.base_model, 2))
    with pytest.raises(ConfigError, match="'mntp' does not go through a decoder") as caught:
        Compressor(memory, copy.deepcopy(model), bos_id=1, settings=Compression(objective="mntp"))
    assert "ctkd, nll, reconstruction" in caught.value.fix
