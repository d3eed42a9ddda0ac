"""What an optimiser step of a config costs on this machine: measured, not derived."""

import json
import pickle
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config


class OutOfMemory(RuntimeError):
    """A batch does not fit into the memory; a smaller one may."""


@dataclass(frozen=True)
class StepCost:
    """What an optimiser step costs.

    Args:
        seconds (float): Of a step, the median; without the time to read images.
        peak_bytes (int): On a GPU the most that torch has given out there. On a CPU the
            growth of the process from before the model to its peak.
        state_bytes (int): Of a checkpoint with weights and optimiser, as a file.
        device (str): Such as 'cpu' or 'cuda'.
    """

    seconds: float
    peak_bytes: int
    state_bytes: int
    device: str


def measure_step(cfg: Config, batch_size: int, steps: int = 3) -> StepCost:
    """Train a few steps of a pre-training config on random images.

    The run's own model, optimiser, precision, loop (so also micro-batches) and
    compiler, on the device that the run would use; no data set is touched, nothing is
    kept. One step goes before those that count. Of several GPUs it uses one, without
    exchange, and a sharded config is measured whole.

    All happens in a fresh process. The peak of a process never falls, so what has been
    in this one would count, and a second measurement would find the first; a process
    that the kernel kills for its memory takes nobody with it; and the memory of the
    GPU is free again afterwards.

    Args:
        cfg (Config): Of a pre-training; is not changed.
        batch_size (int): Images of a step on this device, 2 or more. With
            ``MicroBatchTrainLoop`` it is computed in the parts that the config says.
        steps (int): Steps that count, 1 or more. Defaults to 3.

    Returns:
        StepCost: Time and memory.

    Raises:
        OutOfMemory: If the batch is too large for the memory.
        RuntimeError: If the step fails otherwise, with its reason.
        ValueError: If batch size or steps are out of range.
    """
    if batch_size < 2 or steps < 1:
        raise ValueError(
            f'Got batch_size={batch_size} and steps={steps}; a contrastive step needs '
            '2 images or more, and at least 1 step has to count.'
        )
    order = dict(settings=cfg.to_dict(), batch_size=batch_size, steps=steps)
    what = f'A batch of {batch_size} images'
    return _in_a_process('cmae_mm.planning.measured_run', order, what)


def try_own_step(cfg: Config) -> StepCost:
    """Train one step of a config on two images of its own, in a fresh process.

    Of any library that MMEngine finds: model with its pre-trained weights, data,
    optimiser and loop are those of the config.

    Args:
        cfg (Config): Of a training; is not changed.

    Returns:
        StepCost: Time of that step, which is longer than those that would follow, and
        memory with two images.

    Raises:
        OutOfMemory: If not even two images fit.
        RuntimeError: If the step fails otherwise, with its reason.
    """
    order = dict(settings=cfg.to_dict())
    return _in_a_process('cmae_mm.planning.own_step', order, 'A batch of 2 images')


def _in_a_process(module: str, order: dict, what: str) -> StepCost:
    """Let a module measure what is ordered."""
    with tempfile.TemporaryDirectory(prefix='cmae-measure-') as folder:
        Path(folder, 'order.pkl').write_bytes(pickle.dumps(order))
        command = [sys.executable, '-W', 'ignore', '-m']
        command += [module, folder]
        done = subprocess.run(command, capture_output=True, text=True)
        file = Path(folder, 'answer.json')
        answer = json.loads(file.read_text()) if file.is_file() else {}
    if 'cost' in answer:
        return StepCost(**answer['cost'])
    if answer.get('memory') or done.returncode == -signal.SIGKILL:
        raise OutOfMemory(f'{what} does not fit: {answer.get("error") or _KILLED}')
    lines = (done.stderr or done.stdout).strip().splitlines()
    raise RuntimeError(answer.get('error') or f'A step failed: {" ".join(lines[-3:])}')


_KILLED = (
    'the process was killed, most often because the memory of the machine or of the '
    'job was full. Take a smaller train_dataloader.batch_size.'
)
