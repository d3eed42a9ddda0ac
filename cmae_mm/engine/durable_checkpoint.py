import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.fileio import BaseStorageBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import FlexibleRunner, Runner

from cmae_mm.registry import HOOKS
from cmae_mm.version import __version__

from .durable_files import PARTIAL, what_to_try, written_whole
from .main_process import on_main_process
from .sharding import ShardedStrategy
from .valid_checkpoint import choose_start, read_valid

_KEPT = 'kept_checkpoints'  # in the message hub: names, the oldest first


@HOOKS.register_module()
class DurableCheckpointHook(CheckpointHook):
    """Saves checkpoints so that at any moment a whole one is there.

    The stock hook deletes the oldest file, writes the new one under its final name,
    and looks at neither. Here a file is written under another name, brought to the
    disk, read back and checked; then it gets its name, and only then old ones are
    deleted. A file whose model is not finite is never kept. On start it lets a run
    that resumes begin from the newest file that is whole (see
    :func:`cmae_mm.engine.valid_checkpoint.choose_start`).

    Needs :class:`cmae_mm.PlainCheckpointHook` beside it.

    Args:
        **kwargs: See :class:`mmengine.hooks.CheckpointHook`. ``out_dir`` must be on
            a disk of this machine, or on one mounted there.

    Raises:
        ValueError: If one checkpoint only is to be kept, if the files are to be
            written by anything but the file system, or get another suffix.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.max_keep_ckpts == 1:
            raise ValueError(
                'max_keep_ckpts=1 is refused: should the only checkpoint be damaged '
                'later, the whole run would be lost. Keep 2 or more; -1 keeps all.'
            )
        if self.file_client_args or self.backend_args or '://' in str(self.out_dir):
            raise ValueError(
                'DurableCheckpointHook writes to a file system alone: it takes no '
                f'backend_args or file_client_args, and no out_dir={self.out_dir!r} '
                "elsewhere. For other storage use type='CheckpointHook'."
            )
        if not self.filename_tmpl.endswith('.pth'):
            raise ValueError(
                f'filename_tmpl={self.filename_tmpl!r} must end in .pth: a run that '
                'resumes looks for such files.'
            )
        self.last_good: str | None = None

    def before_run(self, runner: Runner) -> None:
        """If the runner is to resume, see to it that it can."""
        folder = Path(runner.work_dir)
        if self.out_dir not in (None, runner.work_dir):
            folder = Path(self.out_dir) / folder.name  # as the stock hook names it
        choose_start(runner, folder)
        if isinstance(runner, FlexibleRunner):  # has looked for a file before its hooks
            runner.load_or_resume()

    def before_train(self, runner: Runner) -> None:
        """Find the folder, and remove what an interrupted save left in it."""
        super().before_train(runner)
        self.file_backend = _RemoveLater(self.file_backend)
        kept = runner.message_hub.runtime_info.get(_KEPT)
        self.last_good = str(Path(self.out_dir) / kept[-1]) if kept else None
        self._clean(runner)

    def prepare(self, runner: Runner) -> None:
        """Called on all ranks before rank 0 collects and writes a checkpoint.

        Any hook with a method ``prepare_checkpoint(runner)`` takes part. What it
        gathers there it can put into the file in ``before_save_checkpoint``, which
        MMEngine calls on rank 0 alone.
        """
        runner.call_hook('prepare_checkpoint')
        strategy = getattr(runner, 'strategy', None)
        if isinstance(strategy, ShardedStrategy):  # each rank has slices
            strategy.gather()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Say when the file is written, and by what."""
        checkpoint['meta'].update(
            saved_at=time.time(),
            versions=dict(cmae_mm=__version__, torch=str(torch.__version__)),
        )

    def save_now(self, runner: Runner) -> None:
        """Save ``iter_<n>.pth`` at once, also in a training by epochs.

        To be called on all ranks, from ``after_train_iter`` of a hook with a priority
        of VERY_LOW or lower: the schedules have made their step then. Returns on
        every rank when the file is whole. Takes part in the rotation.
        """
        step = runner.iter + 1
        meta = dict(epoch=runner.epoch, iter=step)
        self._save(runner, f'iter_{step}.pth', meta, by_epoch=False)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """In place of the stock method, which deletes first."""
        self._save(runner, self.filename_tmpl.format(step), meta, self.by_epoch)

    def _save(self, runner: Runner, name: str, meta: dict, by_epoch: bool) -> None:
        """Save, point to it, and delete what is too old then.

        The list in the file still names what is deleted afterwards: a run that is
        killed between the two deletes it the next time.
        """
        kept = runner.message_hub.runtime_info.get(_KEPT, [])
        kept = [*(old for old in kept if old != name), name]
        keep = self.max_keep_ckpts if self.max_keep_ckpts > 0 else len(kept)
        path = Path(self.out_dir) / name
        self.last_ckpt = str(path)
        runner.message_hub.update_info(_KEPT, kept)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        _DurableRunner.of(runner, self).save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=by_epoch,
            **self.args,
        )
        self.last_good = self.last_ckpt
        on_main_process(lambda: self._point_to(path, Path(runner.work_dir)))
        runner.message_hub.update_info(_KEPT, kept[-keep:])
        self._delete(runner, [Path(self.out_dir) / old for old in kept[:-keep]])

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """The stock method, whose deletions wait until all is saved."""
        durable = _DurableRunner.of(runner, self)
        super()._save_best_checkpoint(durable, metrics)
        self._delete(runner, self.file_backend.take() - durable.written)

    def write(self, runner: Runner, target: Path, **options: Any) -> None:
        """Let a runner write one file, on rank 0.

        Args:
            runner (Runner): The runner.
            target (Path): File to be.
            **options: See :meth:`mmengine.runner.Runner.save_checkpoint`.

        Raises:
            RuntimeError: If it cannot be written, or should not be kept. What was
                there before is as it was then.
        """
        folder = target.parent
        kept = f'The last good one is {self.last_good}.' if self.last_good else ''
        try:
            with written_whole(target, check=read_valid) as partial:
                runner.save_checkpoint(str(folder), partial.name, **options)
        except OSError as error:
            raise RuntimeError(
                f'{target} could not be written: {error.strerror or error}. Nothing '
                f'that was there has changed. {kept} {what_to_try(error, folder)} Then '
                'start again with resume.'
            ) from error
        except RuntimeError as error:
            raise RuntimeError(f'{target} was not kept. {error} {kept}') from error

    def _point_to(self, path: Path, work_dir: Path) -> None:
        """Write the pointer that MMEngine's tools read, in one step."""
        try:
            with written_whole(work_dir / 'last_checkpoint') as partial:
                partial.write_text(str(path))
        except OSError as error:
            raise RuntimeError(
                f'{path} is saved, but {work_dir / "last_checkpoint"}, which points to '
                f'it, could not be written: {error.strerror or error}. '
                f'{what_to_try(error, work_dir)} Then start again with resume.'
            ) from error

    @master_only
    def _delete(self, runner: Runner, paths: Iterable[str | Path]) -> None:
        """Delete what is no longer needed; a file that stays is no reason to end."""
        for path in map(Path, paths):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                runner.logger.warning(f'{path} could not be deleted: {error}')

    @master_only
    def _clean(self, runner: Runner) -> None:
        """Remove unfinished files."""
        left = sorted(Path(self.out_dir).glob(f'*.pth{PARTIAL}'))
        if left:
            names = ', '.join(path.name for path in left)
            runner.logger.warning(f'Unfinished, from a run that was killed: {names}')
        self._delete(runner, left)


class _DurableRunner:
    """A runner, but what it saves goes through the hook.

    Args:
        runner (Runner): The runner.
        hook (DurableCheckpointHook): The hook.
    """

    def __init__(self, runner: Runner, hook: DurableCheckpointHook) -> None:
        self._runner = runner
        self._hook = hook
        self.written: set[str] = set()

    @classmethod
    def of(
        cls, runner: 'Runner | _DurableRunner', hook: DurableCheckpointHook
    ) -> '_DurableRunner':
        """Of a runner that may be one already."""
        return runner if isinstance(runner, cls) else cls(runner, hook)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def save_checkpoint(self, out_dir: str, filename: str, **options: Any) -> None:
        """As the runner's, on all ranks."""
        target = Path(out_dir) / filename
        self._hook.prepare(self._runner)
        on_main_process(lambda: self._hook.write(self._runner, target, **options))
        self.written.add(str(target))


class _RemoveLater:
    """A file backend that keeps in mind what it was told to remove.

    Args:
        backend (BaseStorageBackend): The backend.
    """

    def __init__(self, backend: BaseStorageBackend) -> None:
        self._backend = backend
        self._waiting: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str | Path) -> None:
        """Not yet."""
        self._waiting.add(str(path))

    def take(self) -> set[str]:
        """What is to be removed; it is forgotten here."""
        waiting, self._waiting = self._waiting, set()
        return waiting
