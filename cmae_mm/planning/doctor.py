"""``cmae doctor``: whether this machine can run a config, check by check."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from .environment import check_environment
from .finding import Finding, guarded

GIB = 2**30
_NANO = 'scenes/cmae_vit-nano-p8_bs32-8e_scenes.py'
_SHOWN = 4


def examine(config: Path | None, work_dir: Path | None) -> Iterator[Finding]:
    """Look at the environment, and at a config on this machine.

    Args:
        config (Path, optional): Of a training; None takes the smallest packaged one,
            whose images may be missing.
        work_dir (Path, optional): Of the run. Defaults to that of the config, or as
            ``mim train`` names it.

    Yields:
        Finding: Line by line, as soon as it is known. Nothing is raised.
    """
    yield from check_environment()
    patient = Patient(config, work_dir)
    for name, check in (
        ('config', patient.read),
        ('settings', patient.check_settings),
        ('data', patient.check_data),
        ('shared memory', patient.check_shared_memory),
        ('views', patient.look_at_views),
        ('first batch', patient.draw_first_batch),
        ('one step', patient.take_step),
        ('disk', patient.check_disk),
    ):
        yield from guarded(name, check)


class Patient:
    """A config on its way through the checks; each leaves what the next ones need.

    Args:
        config (Path, optional): See :func:`examine`.
        work_dir (Path, optional): See :func:`examine`.
    """

    def __init__(self, config: Path | None, work_dir: Path | None) -> None:
        self.config = config
        self.work_dir = work_dir or Path('work_dirs')
        self.given_work_dir = work_dir
        self.cfg: Any = None
        self.dataset: Any = None
        self.state_bytes: int | None = None

    def read(self) -> Iterator[Finding]:
        """Read the file."""
        from mmengine.config import Config

        from cmae_mm.config_files import find_config

        file = find_config(self.config or _NANO)
        self.cfg = Config.fromfile(file)
        if self.given_work_dir is None:
            default = Path('work_dirs', file.stem)
            self.work_dir = Path(self.cfg.get('work_dir') or default)
        own = '' if self.config else ' (none was given: the smallest packaged one)'
        yield Finding('ok', 'config', f'{file.name}{own}')

    def check_settings(self) -> Iterator[Finding]:
        """The settings check of a run's start."""
        if self.cfg is None:
            return
        from cmae_mm.guards import check_config

        complaints = check_config(self.cfg)
        for complaint in complaints:
            yield Finding('wrong', 'settings', complaint)
        if not complaints:
            yield Finding('ok', 'settings', 'every one is read by somebody')

    def check_data(self) -> Iterator[Finding]:
        """Build the training's data set, as a run does."""
        if self.cfg is None or 'train_dataloader' not in self.cfg:
            return
        from mmengine.registry import DATASETS, init_default_scope

        init_default_scope(self.cfg.get('default_scope', 'mmpretrain'))
        try:
            with redirect_stdout(io.StringIO()):  # that of COCO talks
                dataset = DATASETS.build(self.cfg.train_dataloader.dataset)
            images = len(dataset)
        except Exception as error:
            text = ' '.join(str(error).split())
            advice = 'Set data_root of train_dataloader.dataset to your images'
            # Without a config of the user's own, data are nobody's fault.
            status = 'wrong' if self.config else 'note'
            yield Finding(status, 'data', f'not there: {text}. {advice}')
            return
        self.dataset = dataset if images else None
        text = f'{images:,} images' if images else 'empty. Look at data_root'
        yield Finding('ok' if images else 'wrong', 'data', text)

    def check_shared_memory(self) -> Iterator[Finding]:
        """Room for the batches that workers hold ready."""
        shared = Path('/dev/shm')
        if not shared.is_dir():
            return
        free = shutil.disk_usage(shared).free
        needed = self._batches_ready()
        text = f'{free / GIB:.2f} GiB free in /dev/shm, {needed / GIB:.2f} are needed'
        if needed > free:
            text += (
                '. Make it larger (docker run --shm-size=16g), or take a smaller '
                'train_dataloader.num_workers or prefetch_factor'
            )
        yield Finding('wrong' if needed > free else 'ok', 'shared memory', text)

    def _batches_ready(self) -> int:
        """Bytes of all batches that workers hold: two each, unless the config says."""
        loader = self.cfg.get('train_dataloader') if self.cfg else None
        if not loader or not loader.get('num_workers'):
            return 0
        model = self.cfg.get('model', {})
        backbone = model.get('backbone', {})
        size = backbone.get('img_size', 224)
        height, width = (size, size) if isinstance(size, int) else size
        views = 2 if model.get('contrastive_weight', 1) else 1
        image = views * backbone.get('in_channels', 3) * height * width
        ready = loader.num_workers * loader.get('prefetch_factor', 2)
        return ready * loader.get('batch_size', 1) * image

    def look_at_views(self) -> Iterator[Finding]:
        """How crop and pixel shift suit the images."""
        if self.dataset is None or not self._pretrains():
            return
        from .views import look_at_views

        yield from look_at_views(self.dataset)

    def draw_first_batch(self) -> Iterator[Finding]:
        """Input, mask and target view of some images, into the work dir."""
        if self.dataset is None or not self._pretrains():
            return
        from .first_batch import draw

        file = self.work_dir / 'first-batch.png'
        drawn = draw(self.cfg, self.dataset, _SHOWN, file)
        if drawn:
            yield Finding('ok', 'first batch', f'{file}: input, mask and target view')
        else:
            text = 'not drawn: a picture has two views of three channels'
            yield Finding('note', 'first batch', text)

    def _pretrains(self) -> bool:
        model = self.cfg.get('model', {}) if self.cfg else {}
        return model.get('type') == 'cmae_mm.CMAE'

    def take_step(self) -> Iterator[Finding]:
        """Real steps, in processes of their own."""
        if self.cfg is None:
            return
        try:
            yield self._measure() if self._pretrains() else self._try_own_step()
        except (RuntimeError, ValueError) as error:
            yield Finding(
                'wrong', 'one step', f'failed: {" ".join(str(error).split())}'
            )

    def _try_own_step(self) -> Finding:
        """A step on images of the config, because nobody knows what it takes."""
        if self.dataset is None:
            return Finding('note', 'one step', 'not tried, for want of data')
        from .measure import try_own_step

        found = try_own_step(self.cfg)
        self.state_bytes = found.state_bytes
        text = (
            f'2 images of the config trained on {found.device} in {found.seconds:.2f} '
            f's, with {found.peak_bytes / GIB:.2f} GiB; a whole batch takes more'
        )
        return Finding('ok', 'one step', text)

    def _measure(self) -> Finding:
        """Speed and memory of a pre-training, on random images."""
        from .speed import measure_device

        batch = self.cfg.train_dataloader.batch_size
        found = measure_device(self.cfg, batch)
        self.state_bytes = found.state_bytes
        parts = self.cfg.train_cfg.get('micro_batches', 1)
        text = (
            f'{found.images_per_second:.1f} images per second on {found.name} '
            f'({found.measured_at} at once, random ones), {found.peak_bytes / GIB:.2f} '
            f'GiB for {batch // found.parts}'
        )
        if found.parts > parts:
            text += (
                f'. The batch of {batch} does not fit: --cfg-options '
                'train_cfg.type=cmae_mm.MicroBatchTrainLoop '
                f'train_cfg.micro_batches={found.parts}, or a smaller batch_size'
            )
        return Finding('wrong' if found.parts > parts else 'ok', 'one step', text)

    def check_disk(self) -> Iterator[Finding]:
        """Room for the checkpoints."""
        folder = self.work_dir.resolve()
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        text = f'{free / GIB:.2f} GiB free in {self.work_dir}'
        if not os.access(folder, os.W_OK):
            text = f'{folder} cannot be written. Name another --work-dir'
            yield Finding('wrong', 'disk', text)
            return
        if self.state_bytes is None:
            yield Finding('note', 'disk', f'{text}; what is needed is not known')
            return
        from .report import count_checkpoints

        # Steps matter only to hooks that count them. By epochs: more than any run has.
        length = self.cfg.train_cfg
        steps = length.get('max_iters', 10**9)
        files = count_checkpoints(self.cfg, length.get('max_epochs', 1), steps)
        needed = files * self.state_bytes
        text += f', {needed / GIB:.2f} are needed for {files} checkpoints'
        if needed > free:
            text += '. Free some, or name another --work-dir'
        yield Finding('wrong' if needed > free else 'ok', 'disk', text)
