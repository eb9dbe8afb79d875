"""One of two processes that share batches: `one_of_two.py RANK FOLDER`; writes the gradients after averaging."""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel

from tests.train.contrast.oracle import Judge, features, tiny_model
from train.contrast.guide import Guide
from train.contrast.loss import ContrastiveLoss
from train.recipe import build_recipe
from train.settings import Contrast


def main() -> None:
    torch.set_num_threads(1)
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    task = json.loads((folder / "task.json").read_text())
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    half = len(task["columns"][0]) // 2
    columns = [texts[rank * half : (rank + 1) * half] for texts in task["columns"]]
    for case, given in task["cases"].items():
        settings = build_recipe(Contrast, given, "task.json")
        model = tiny_model(layers=3)
        guide = Guide(Judge(tiny_model(seed=3).eval()), model.tokenizer)
        loss = ContrastiveLoss(model, settings, guide=guide, seed=2)
        loss.model = DistributedDataParallel(model)
        value = loss(features(model, columns))
        value.backward()
        found = {name: parameter.grad for name, parameter in model.named_parameters()}
        save_file(found | {"loss": value.detach()[None]}, folder / f"{case} {rank}.safetensors")
    torch.distributed.barrier()
    # destroy_process_group waits for gloo's thread with the interpreter's lock held, and that thread may need the
    # lock to let go of its last task (seen with torch 2.13).
    os._exit(0)


if __name__ == "__main__":
    main()
