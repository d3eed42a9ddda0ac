"""A training that is hurt every few minutes, beside one that is left alone.

    python tools/soak.py [--epochs 240] [--every 180] [--out work_dirs/soak]

Trains the demo's model on generated pictures, three of them unreadable, once
undisturbed, and beside it once more, where every few minutes it kills the process or
one of its workers, asks it by a signal to stop, or kills it and damages its newest
checkpoint; the same command starts it again each time. At the end the two checkpoints
must agree bit for bit. Writes summary.json; exit code 1 if a bit differs.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/scenes/cmae_vit-nano-p8_bs32-8e_scenes.py'
STOPPED = 75  # cmae_mm.guards.signals
UNREADABLE = 3


def make_pictures(folder: Path) -> None:
    """The demo's pictures of single shapes; the ends of three are missing."""
    from cmae_mm.datasets.scenes import generate_scenes

    if not folder.exists():
        generate_scenes(folder)
        pictures = sorted(folder.glob('classification/train/*/*'))
        for picture in pictures[:: len(pictures) // UNREADABLE][:UNREADABLE]:
            picture.write_bytes(picture.read_bytes()[:100])


def start(out: Path, name: str, epochs: int) -> subprocess.Popen:
    """Start the training, or go on with it: one and the same command."""
    import mmpretrain

    train = Path(mmpretrain.__file__).parent / '.mim/tools/train.py'
    data = out / 'data/classification/train'
    options = {
        'train_cfg.max_epochs': epochs,
        'param_scheduler.1.end': epochs,
        'default_hooks.checkpoint.interval': 1,
        'default_hooks.checkpoint.max_keep_ckpts': 3,
        'train_dataloader.dataset.datasets.0.data_root': data,
        'train_dataloader.dataset.datasets.0.data_prefix': '',
        'train_dataloader.dataset.datasets.1.data_root': data,
        'train_dataloader.dataset.datasets.1.data_prefix': '',
    }
    command = [sys.executable, '-W', 'ignore', str(train), str(CONFIG), '--resume']
    command += ['--work-dir', str(out / name), '--cfg-options']
    command += [f'{key}={value}' for key, value in options.items()]
    with open(out / f'{name}.log', 'a') as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def kill(process: subprocess.Popen, folder: Path) -> None:
    """SIGKILL, as a machine that goes down."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in children:
        child.kill()


def kill_worker(process: subprocess.Popen, folder: Path) -> None:
    """SIGKILL to a worker, as by the system when memory ends."""
    workers = []
    while not workers and process.poll() is None:  # it may still be starting
        time.sleep(1)
        workers = psutil.Process(process.pid).children(recursive=True)
    if workers:
        workers[0].kill()


def stop(process: subprocess.Popen, folder: Path) -> None:
    """SIGTERM, as from a scheduler."""
    process.send_signal(signal.SIGTERM)


def announce(process: subprocess.Popen, folder: Path) -> None:
    """SIGUSR1, as from Slurm before the time is over."""
    process.send_signal(signal.SIGUSR1)


def damage(process: subprocess.Popen, folder: Path) -> None:
    """SIGKILL, and then some bytes of the newest checkpoint turn over."""
    kill(process, folder)
    process.wait()
    files = sorted(folder.glob('*.pth'), key=lambda file: file.stat().st_mtime)
    if files:
        content = bytearray(files[-1].read_bytes())
        middle = len(content) // 2
        content[middle : middle + 64] = bytes(64)
        files[-1].write_bytes(content)


FAULTS: dict[str, Callable[[subprocess.Popen, Path], None]] = {
    'kill -9': kill,
    'SIGTERM': stop,
    'damaged checkpoint': damage,
    'worker killed': kill_worker,
    'SIGUSR1': announce,
}


def hurt(out: Path, epochs: int, every: float, seed: int) -> list[dict]:
    """Train with faults until the training is done.

    Args:
        out (Path): Folder of all runs.
        epochs (int): Length of the training.
        every (float): Mean seconds of training between two faults.
        seed (int): Of the pauses.

    Returns:
        list[dict]: One for each fault: its kind, after how many seconds, exit code.
    """
    pauses, found = random.Random(seed), []
    while True:
        process = start(out, 'hurt', epochs)
        name = list(FAULTS)[len(found) % len(FAULTS)]
        pause = pauses.uniform(0.5, 1.5) * every
        try:
            code = process.wait(timeout=pause)
        except subprocess.TimeoutExpired:
            FAULTS[name](process, out / 'hurt')
            code = process.wait()
            found.append(dict(fault=name, after_seconds=round(pause), exit_code=code))
            print(f'{name} after {pause:.0f} s: exit code {code}', flush=True)
            continue
        if code:
            raise SystemExit(
                f'The training ended by itself with exit code {code}; see hurt.log.'
            )
        return found


def main() -> int:
    """Run both trainings and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--epochs', type=int, default=240)
    parser.add_argument('--every', type=float, default=180, help='seconds')
    parser.add_argument('--seed', type=int, default=0, help='of the pauses')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/soak'))
    args = parser.parse_args()
    from cmae_mm.guards.verify_resume import fingerprints

    if (args.out / 'data').exists():
        parser.error(f'{args.out} is in use; remove it or name another folder.')
    args.out = args.out.resolve()
    make_pictures(args.out / 'data')
    last = f'epoch_{args.epochs}.pth'
    began = time.time()
    undisturbed = start(args.out, 'alone', args.epochs)
    faults = hurt(args.out, args.epochs, args.every, args.seed)
    seconds = round(time.time() - began)
    code = undisturbed.wait()
    if code:
        raise SystemExit(f'The undisturbed training failed ({code}): alone.log')
    alone, survived = (fingerprints(args.out / n / last) for n in ('alone', 'hurt'))
    summary = dict(
        epochs=args.epochs,
        seconds=seconds,
        faults=len(faults),
        kinds={name: sum(f['fault'] == name for f in faults) for name in FAULTS},
        ended_in_order=sum(f['exit_code'] == STOPPED for f in faults),
        same={part: alone[part] == survived[part] for part in alone},
        all=faults,
    )
    (args.out / 'summary.json').write_text(json.dumps(summary, indent=1))
    print(json.dumps({k: v for k, v in summary.items() if k != 'all'}, indent=1))
    return 0 if all(summary['same'].values()) else 1


if __name__ == '__main__':
    sys.exit(main())
