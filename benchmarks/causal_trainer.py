"""The training that a person would otherwise write: Hugging Face Trainer + PEFT, given the work of peft_lab's."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

from pluggy_specs.pieces import UNSUPERVISED


def train(
    work: dict[str, Any],
    *,
    seed: int,
    bf16: bool,
    own_order: bool,
    figures: Callable[..., dict[str, Any]],
    tokens_of: Callable[[Any], dict[str, int]],
) -> dict[str, Any]:
    """Train the same LoRA for the same steps on a CPU, with the same rates.

    Args:
        work: see ``benchmarks.causal_run.work_of``.
        bf16: compute under autocast; weights stay in fp32, as Trainer has it.
        own_order: rows in Trainer's random order, not in that of the work.
        figures: makes what is reported of the end of each step, the tokens of each batch, and the losses.
        tokens_of: counts the tokens of a batch.
    """
    import torch
    from accelerate.state import AcceleratorState
    from peft import LoraConfig, get_peft_model
    from torch.utils.data import DataLoader
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        set_seed,
    )

    from peft_lab.training.cost import PeakMemory

    AcceleratorState._reset_state(reset_partial_state=True)  # it knows one precision for a whole process
    memory = PeakMemory(torch.device("cpu"))
    model = AutoModelForCausalLM.from_pretrained(work["model"], dtype=torch.float32)
    pad = DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(work["model"]), label_pad_token_id=UNSUPERVISED)
    rows = [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [UNSUPERVISED] * border + ids[border:]}
        for ids, border in zip(work["rows"], work["borders"], strict=True)
    ]
    tokens: list[dict[str, int]] = []
    ends: list[float] = []

    def collate(chosen: list[dict[str, Any]]) -> Any:
        batch = pad(chosen)
        tokens.append(tokens_of(batch))
        return batch

    class Clock(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            ends.append(time.perf_counter())

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            ends.append(time.perf_counter())

    class SameWork(Trainer):
        def get_train_dataloader(self) -> DataLoader:
            if own_order:
                return super().get_train_dataloader()
            return DataLoader(rows, batch_sampler=work["batches"], collate_fn=collate)  # type: ignore[arg-type]

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            factors = [rate / work["learning_rate"] for rate in work["rates"]]
            factors.append(0.0)  # asked for after the last step
            made: Any = optimizer or self.optimizer
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(made, factors.__getitem__)
            return self.lr_scheduler

    set_seed(seed)
    tuned = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **work["lora"]))
    steps = len(work["rates"])
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=work["batch_size"],
            learning_rate=work["learning_rate"],
            weight_decay=work["weight_decay"],
            max_grad_norm=work["clip"],
            bf16=bf16,
            use_cpu=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            seed=seed,
            save_strategy="no",
            report_to=[],
            logging_steps=1,
            disable_tqdm=True,
        )
        trainer = SameWork(tuned, settings, data_collator=collate, train_dataset=rows, callbacks=[Clock()])
        trainer.remove_callback(PrinterCallback)
        began = time.process_time()
        trainer.train()
        cpu_seconds = time.process_time() - began
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "precision": "bf16 autocast" if bf16 else "fp32",
        "held": "",
        **figures(ends, tokens[: len(losses)], losses),  # one batch may have been fetched that was not used
        "cpu_seconds": round(cpu_seconds, 3),
        "peak_memory_mib": memory.read() >> 20,
        "trainable": sum(p.numel() for p in tuned.parameters() if p.requires_grad),
    }
