"""One training loop.  What is learned, the task, is passed in; the data already lie on the device."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import wraps
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..base.device import autocast_dtype
from ..base.errors import InputError
from ..base.paths import written_whole
from ..base.progress import bar
from ..scans.phases import shuffle
from ..scans.windowing import window

CHECKPOINT_SECONDS = 60  # a kill loses about this much work

Batch = dict[str, Tensor]
Task = Callable[[nn.Module, Batch, torch.Generator], Tensor]


def classification(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Cross-entropy of the class logits (Equation 2), in canonical order or in the prompts of each slice's row."""
    logits = model(batch["image"], batch["row"]) if "row" in batch else model(batch["image"])
    return cross_entropy(logits, batch["label"])


def windowed(task: Task, bounds: tuple[float, float]) -> Task:
    """A task for `fit` whose batches hold Hounsfield units, int16, half as large as what a network sees of them."""

    @wraps(task)
    def on_windowed(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return task(model, {**batch, "image": window(batch["image"], bounds)}, generator)

    return on_windowed


def to_device(images: Tensor, label: Tensor, device: torch.device) -> Batch:
    """Put a whole data set on the device: images (N, P, H, W) of any type in channels-last memory, label (N,)."""
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    return {"image": images, "label": label.to(device)}


def train_step(
    model: nn.Module, batch: Batch, task: Task, optimizer, scaler, dtype: torch.dtype | None, generator
) -> Tensor:
    """One optimisation step; returns the loss, still on the device.  Nothing here waits for the device."""
    device = batch["image"].device.type
    with torch.autocast(device, dtype) if dtype else nullcontext():
        loss = task(model, batch, generator)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    return loss.detach()


def adam(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """The paper's optimiser (section 4.1)."""
    return torch.optim.Adam(model.parameters(), lr=lr, fused=next(model.parameters()).device.type in ("cpu", "cuda"))


def fit(
    model: nn.Module,
    data: Batch,
    task: Task = classification,
    *,
    epochs: int,
    batch_size: int = 32,  # this and the learning rate: paper section 4.1
    lr: float = 5e-4,
    optimizer: Callable[[nn.Module, float], torch.optim.Optimizer] = adam,
    schedule: Callable[[float], float] | None = None,
    after_epoch: Callable[[int], None] | None = None,
    seed: int = 0,
    full_precision: bool = False,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> list[float]:
    """Train `model` in place; returns the mean loss of every epoch.

    data: tensors of one length on the model's device, as `to_device` makes them.  task: the loss; called with the
    model, a batch ("image" (B, P, H, W) and "label" (B,), and what else `data` holds) and a generator for what is
    random, it returns a scalar.  schedule: from the share of epochs that is done, 0 to 1, to
    the factor on the learning rate of every parameter group that is not marked `constant`.  after_epoch: called
    with the number of epochs done; the model may be in evaluation mode when it returns.  full_precision: float32
    where the device would halve it, which is faster on a CPU for layers of few channels.  checkpoint: a file written
    about once a minute and at the end of training; where it exists the run goes on from it, to the same weights as
    an uninterrupted run.
    """
    device = next(model.parameters()).device
    dtype = None if full_precision else autocast_dtype(device)
    model.to(memory_format=torch.channels_last)
    optimizer = optimizer(model, lr)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    n = len(next(iter(data.values())))
    settings = {"batch_size": batch_size, "lr": lr, "seed": seed, "n": n, "precision": str(dtype)}
    if checkpoint:  # a run goes on only with the weights and data that it began with
        settings["start"] = _digest([*model.state_dict().values(), *data.values()])
    parts = {"model": model, "optimizer": optimizer, "scaler": scaler}
    history = _resume(checkpoint, settings, parts, device) if checkpoint else []
    saved = time.monotonic()
    name = f"epochs of {getattr(task, '__name__', 'training').replace('_', ' ')}"
    run = bar(range(len(history), epochs), name, progress, initial=len(history), total=epochs)
    for epoch in run:
        model.train()
        for group in optimizer.param_groups if schedule else ():
            if not group.get("constant"):
                group["lr"] = lr * schedule(epoch / epochs)
        # One generator per epoch, on the CPU: the same draws on every device and after a resume.
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        torch.manual_seed(seed * 100_003 + epoch)  # for layers that draw by themselves, such as dropout
        shuffled = torch.randperm(n, generator=generator).to(device)
        total = torch.zeros((), device=device)
        batches = [b for b in shuffled.split(batch_size) if len(b) > 1 or n == 1]  # batch norm needs two
        for index in batches:
            batch = {name: tensor[index] for name, tensor in data.items()}
            total += train_step(model, batch, task, optimizer, scaler, dtype, generator) * len(index)
        history.append(total.item() / sum(map(len, batches)))
        run.set_postfix(loss=f"{history[-1]:.3f}", refresh=False)  # it is shown with the epoch's count
        if after_epoch:
            after_epoch(epoch + 1)
        if checkpoint and (epoch == epochs - 1 or time.monotonic() - saved > CHECKPOINT_SECONDS):
            state = {name: part.state_dict() for name, part in parts.items()}
            written = BytesIO()  # into a full disk torch.save fails without saying so
            torch.save({**state, "history": history, "settings": settings}, written)
            with written_whole(checkpoint) as temporary:
                temporary.write_bytes(written.getbuffer())
            saved = time.monotonic()
    return history


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: Tensor,
    rows: Tensor | None = None,
    *,
    every_order: bool = False,
    batch_size: int = 256,
    progress: bool = False,
) -> Tensor:
    """Class probabilities of windowed images (N, P, H, W) in canonical order, (N, C) float32 on the CPU.

    rows: (N,) `phases.prompt_rows`, where slices may lack phases.
    every_order: instead the mean over all k! orders of the phases, each with the prompts that name it.
    """
    device = next(model.parameters()).device
    model.eval()
    answers = []
    with bar(None, "slices", progress, total=len(images)) as run:
        for start in range(0, len(images), batch_size):
            part = images[start : start + batch_size].to(device)
            if every_order:
                every = (torch.full((len(part),), o, device=device) for o in range(math.factorial(images.shape[1])))
                prob = torch.stack([model(shuffle(part, order), order).softmax(dim=1) for order in every]).mean(dim=0)
            else:
                of_part = () if rows is None else (rows[start : start + batch_size].to(device),)
                prob = model(part, *of_part).softmax(dim=1)
            answers.append(prob.cpu())
            run.update(len(part))
    return torch.cat(answers)


def _resume(path: str | Path, settings: dict, parts: dict, device: torch.device) -> list[float]:
    path = Path(path)
    if not path.exists():
        return []
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        before, history = state["settings"], state["history"]
        states = [(part, state[name]) for name, part in parts.items()]
    except Exception as error:  # whatever a damaged file raises
        raise InputError(f"{path}: not a whole checkpoint; delete it to start again") from error
    if before != settings:
        raise InputError(f"{path}: made with {before}, not {settings}; delete it to start again")
    for part, saved in states:
        part.load_state_dict(saved)
    return history


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
