"""One folder in, one folder out: composes the config of a run, or finds it again."""

import copy
import functools
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from cmae_mm.engine.valid_checkpoint import newest_valid
from cmae_mm.guards.refusal import refuse
from cmae_mm.guards.settings import check_config, own_names
from cmae_mm.origin import COMPOSED_FROM, origin_of

from . import choices
from .accuracy import keep_labelled, measure_by_folder
from .pictures import Pictures, look_at
from .quiet import quiet_building
from .recipes import check_arch, load_recipe, read_config

# What was asked for stands under this name in the config of a run: by it a folder is
# known as ours, and the same wish as the same.
ASKED = 'asked'


def pretrain(
    folder: str | Path,
    out: str | Path,
    arch: str | None = None,
    config: str | Path | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    load_from: str | Path | None = None,
    cfg_options: dict[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Pre-train on a folder of images, or go on with it.

    Everything that is not given is chosen from the images and the machine, and said.
    The config is written to ``out/config.py`` and trained by the runner that
    ``mim train mmpretrain out/config.py`` would take. Called once more with the same
    arguments, the run goes on from its newest checkpoint that is whole.

    Args:
        folder (str | Path): Images at any depth; labels are not needed. By class
            folders in ``train`` and ``val`` the run's accuracies are measured.
        out (str | Path): Folder of the run: empty, not there yet, or of the same run.
        arch (str, optional): A name of ``cmae_mm.pretraining.recipes.RECIPES``.
            Defaults to vit-small with a GPU, to vit-tiny without.
        config (str | Path, optional): A pre-training config in the place of ``arch``;
            its images are replaced, but those of its validation and test stay, if they
            are there.
        epochs (int, optional): 1 or more. Defaults to the recipe's.
        batch (int, optional): Images of a step, from 2 to the number of images.
            Defaults to what images and memory allow.
        load_from (str | Path, optional): Weights to start from.
        cfg_options (dict, optional): Settings of the config by their paths, such as
            ``{'model.backbone.mask_ratio': 0.75}``; they come last.
        say (Callable[[str], None]): Takes each line. Defaults to printing it.

    Returns:
        Path: The last checkpoint.

    Raises:
        FileNotFoundError: If folder, config or weights are not there.
        ValueError: If something does not fit; the text says what to try.
        SystemExit: With 75, if a signal ended the run after a checkpoint.
    """
    folder, out = Path(folder), Path(out)
    if arch is not None:
        check_arch(arch)
        if config is not None:
            raise ValueError('Give arch or config: a config has its own network.')
    pictures = look_at(folder)
    asked = dict(
        folder=pictures.folder,
        arch=arch,
        config=_absolute(config, 'config'),
        epochs=epochs,
        batch=batch,
        load_from=_absolute(load_from, 'checkpoint'),
        cfg_options=cfg_options or {},
    )
    begun = find_run(out, asked)
    # Also damaged ones: the run refuses to start anew over them.
    goes_on = begun is not None and any(out.glob('*.pth'))
    if not goes_on:
        write_config(out, asked, pictures, say)
    elif (done := finished(begun, out, say)) is not None:
        return done
    cfg = Config.fromfile(out / 'config.py')
    cfg.work_dir, cfg.launcher, cfg.resume = str(out), 'none', goes_on
    if goes_on:
        cfg.load_from = None
    command = ['mim', 'train', 'mmpretrain', str(out / 'config.py'), '--work-dir']
    # mim takes one of the two: weights to start from, or a run to go on with.
    command += [str(out), *(['--resume'] if cfg.load_from is None else [])]
    say(f'same as    {shlex.join(command)}')
    return train(cfg)


def find_run(out: Path, asked: dict[str, Any]) -> Config | None:
    """Look for a run that was begun in a folder.

    Args:
        out (Path): The folder.
        asked (dict): What is asked for now.

    Returns:
        Config | None: Its config, or None if the folder is empty or not there.

    Raises:
        ValueError: If something else lies there, or a run of other wishes, or the
            folder is one of those with the images.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f'{out} is a file; the folder of the run is expected.')
    if out.resolve().is_relative_to(asked['folder']):
        raise ValueError(
            f'{out} lies in the folder of the images, {asked["folder"]}: pictures of '
            'the run would become images of the next. Take a folder elsewhere.'
        )
    if not out.is_dir() or not any(out.iterdir()):
        return None
    file = out / 'config.py'
    # Read before it is run: it may be anybody's.
    text = file.read_text('utf-8', 'replace') if file.is_file() else ''
    if f'{ASKED} = dict(' not in text.splitlines():
        raise ValueError(
            f'{out} is not empty, and what lies there is no run of cmae pretrain. '
            'Take another folder.'
        )
    cfg = Config.fromfile(file)
    then = cfg[ASKED]
    changed = [
        f'{name}: {then.get(name)} then, {now} now'
        for name, now in asked.items()
        if then.get(name) != now
    ]
    if changed:
        raise ValueError(
            f'{out} holds another run ({"; ".join(changed)}). The command of then goes '
            'on with it; for a new run take another folder.'
        )
    return cfg


def finished(cfg: Config, out: Path, say: Callable[[str], None]) -> Path | None:
    """Say where a run stands.

    Args:
        cfg (Config): Of the run.
        out (Path): Its folder, with checkpoints.
        say (Callable[[str], None]): Takes the line.

    Returns:
        Path | None: The last checkpoint, if nothing is left to train.
    """
    newest = newest_valid(out)
    if newest is None:
        return None
    mapped = zipfile.is_zipfile(newest)  # then the tensors are not read
    meta = torch.load(str(newest), 'cpu', weights_only=True, mmap=mapped)['meta']
    last = cfg.train_cfg.max_epochs
    if meta['epoch'] >= last:
        say(f'{out} is finished: all {last} epochs are trained.')
        return newest
    say(f'goes on from epoch {meta["epoch"] + 1} of {last} ({newest})')
    return None


def write_config(
    out: Path, asked: dict[str, Any], pictures: Pictures, say: Callable[[str], None]
) -> None:
    """Compose the config of a run, say what was chosen, and write it down.

    Args:
        out (Path): Folder of the run; ``config.py`` in it is written, complete.
        asked (dict): The arguments of :func:`pretrain`.
        pictures (Pictures): The images.
        say (Callable[[str], None]): Takes each line.
    """

    def tell(name: str, text: str) -> None:
        say(f'{name:<10} {text}')

    tell('pictures', f'{pictures.count} below {pictures.folder}')
    if asked['config']:
        cfg = read_config(Path(asked['config']))
        tell('network', f'that of {asked["config"]}')
        wanted = cfg.train_dataloader.batch_size
        cfg.setdefault('auto_scale_lr', dict(base_batch_size=wanted))
        choices.choose_data(cfg, pictures)
    else:
        arch, why = asked['arch'], 'as asked'
        if arch is None:
            arch, why = choices.choose_arch()
        cfg = load_recipe(arch)
        wanted = cfg.auto_scale_lr.base_batch_size
        tell('network', f'{arch}: {why}')
        choices.choose_data(cfg, pictures)
        tell('views', choices.choose_views(cfg, arch, pictures))
        if measured := measure_by_folder(cfg, Path(pictures.folder)):
            tell('accuracy', measured)
        tell('precision', choices.choose_precision(cfg))
    tell('epochs', choices.choose_epochs(cfg, asked['epochs']))
    if asked['batch'] is None:
        tell('memory', 'two small steps are measured ...')
    wishes = asked['cfg_options']
    real = copy.deepcopy(cfg)  # with what comes last, for its part in the memory
    real.merge_from_dict(wishes)
    cost = functools.partial(choices.step_bytes, real)
    tell('batch', choices.choose_batch(cfg, pictures, asked['batch'], wanted, cost))
    tell('rate', choices.choose_rate(cfg))
    if wishes:
        tell('wishes', ', '.join(f'{name}={wish}' for name, wish in wishes.items()))
    if not asked['config']:
        choices.choose_intervals(cfg, pictures)
    cfg.load_from = asked['load_from']
    cfg.merge_from_dict(wishes)
    if asked['config']:
        for line in keep_labelled(cfg):
            tell('accuracy', line)
    refuse(check_config(cfg))
    origin = origin_of(cfg)
    for name in own_names(cfg):  # the packaged files have used them
        cfg.pop(name)
    cfg.work_dir, cfg[ASKED], cfg[COMPOSED_FROM] = str(out), asked, origin
    out.mkdir(parents=True, exist_ok=True)
    cfg.dump(out / 'config.py')
    if torch.cuda.device_count() > 1:
        say(
            f'This command takes one of {torch.cuda.device_count()} GPUs. All of them: '
            f'mim train mmpretrain {out / "config.py"} --work-dir {out} --launcher '
            f'pytorch --gpus {torch.cuda.device_count()} --auto-scale-lr'
        )


def train(cfg: Config) -> Path:
    """Train a config as ``mim train`` does.

    Args:
        cfg (Config): With ``runner_type``.

    Returns:
        Path: The last checkpoint.
    """
    with quiet_building():
        runner = RUNNERS.build(cfg)
    runner.train()
    return Path(runner.message_hub.get_info('last_ckpt'))


def _absolute(path: str | Path | None, what: str) -> str | None:
    """A path that holds from any folder; an address stays."""
    if path is None or '://' in str(path):
        return path and str(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f'There is no {what} {path} (looked in {Path.cwd()}).')
    return str(Path(path).resolve())
