"""One of the processes of torchrun: `rank_of_runs.py TASK.json`; runs the command for each job of the task.

A job has `arguments` of the command, `stop_after` (a step, or null), and `left`: a folder where each process leaves
the weights it ends with, and the tokens of the queries or texts it has seen.
"""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import TrainerCallback

from app.cli import main
from train.contrast.trainer import ContrastiveTrainer


class _Stop(TrainerCallback):
    def __init__(self, step):
        self._step = step

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self._step:
            raise KeyboardInterrupt


def _work(job):
    run, compute_loss, seen = ContrastiveTrainer.run, ContrastiveTrainer.compute_loss, []

    def compute_and_note(self, model, inputs, *rest, **options):
        name = next(name for name in inputs if name.endswith("input_ids"))
        mask = inputs[name.replace("input_ids", "attention_mask")].bool()
        seen.append([row[real].tolist() for row, real in zip(inputs[name], mask, strict=True)])
        return compute_loss(self, model, inputs, *rest, **options)

    def run_and_keep(self):
        if job["stop_after"] is not None:
            self.add_callback(_Stop(job["stop_after"]))
        measures = run(self)
        weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        place = Path(job["left"])
        place.mkdir(exist_ok=True)
        save_file(weights, place / f"{os.environ['RANK']}.safetensors")
        (place / f"{os.environ['RANK']}.json").write_text(json.dumps(seen))
        return measures

    ContrastiveTrainer.run, ContrastiveTrainer.compute_loss = run_and_keep, compute_and_note
    try:
        return main(job["arguments"])
    finally:
        ContrastiveTrainer.run, ContrastiveTrainer.compute_loss = run, compute_loss


torch.set_num_threads(1)
codes = [_work(job) for job in json.loads(Path(sys.argv[1]).read_text())]
print(json.dumps({"rank": int(os.environ["RANK"]), "codes": codes}), flush=True)
torch.distributed.barrier()
os._exit(0)  # destroy_process_group can wait for ever, see tests/train/contrast/one_of_two.py
