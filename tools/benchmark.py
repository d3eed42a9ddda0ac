"""How long a training step and the data take on this machine.

    python tools/benchmark.py [CONFIG] [--steps 10] [--batch 8]

`step`: the whole optimiser step of a pre-training config on random pictures.
`data`: its pipeline on its own data set, one process, if the data are there.
Times are medians; nothing else should run on the machine.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ROOT / 'configs/scenes/cmae_vit-nano-p8_bs32-8e_scenes.py'


def time_steps(cfg: Config, batch: int, steps: int) -> list[float]:
    """Seconds of each of ``steps`` training steps, after two for warm-up."""
    model = MODELS.build(cfg.model)
    model.init_weights()
    # AMP needs a GPU; on the CPU the step is timed in full precision.
    wrapper = {**cfg.optim_wrapper}
    if not torch.cuda.is_available():
        wrapper.update(type='OptimWrapper')
        wrapper.pop('loss_scale', None)
    else:
        model.cuda()
    optimizer = build_optim_wrapper(model, wrapper)
    size = cfg.model.backbone.img_size
    views = [torch.randint(0, 256, (batch, 3, size, size)).byte() for _ in range(2)]
    taken = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        model.train_step(dict(inputs=views, data_samples=None), optimizer)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return taken[2:]


def time_data(cfg: Config, count: int) -> list[float]:
    """Seconds of the pipeline for each of ``count`` pictures."""
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    taken = []
    for i in range(count):
        start = time.perf_counter()
        dataset[i % len(dataset)]
        taken.append(time.perf_counter() - start)
    return taken


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', default=DEFAULT)
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--batch', type=int, default=8)
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)

    step = statistics.median(time_steps(cfg, args.batch, args.steps))
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    print(
        f'step: {1000 * step:.1f} ms per batch of {args.batch}, '
        f'{args.batch / step:.1f} images/s '
        f'({device}, {torch.get_num_threads()} threads)'
    )
    try:
        data = statistics.median(time_data(cfg, 20 * args.steps))
    except FileNotFoundError as error:
        print(f'data: not measured, the data set is not there ({error})')
        return
    print(
        f'data: {1000 * data:.2f} ms per picture, {1 / data:.0f} images/s per process'
    )


if __name__ == '__main__':
    main()
