"""A signal ends a training in order: step, checkpoint, exit."""

import os
import signal
import threading
import time
from types import FrameType

from mmengine.hooks import Hook
from mmengine.runner import FlexibleRunner, Runner

from cmae_mm.registry import HOOKS

from .agreement import Agreement
from .workers import set_workers_apart

# Exit code of a training that a signal has ended in order: EX_TEMPFAIL of sysexits.h,
# "try again later". The same for all signals, because a script that requeues asks one
# thing only: is there something to go on from? Not 128 + number, by which a shell
# tells that a signal has *killed* a process; not 1 or 2, which are errors.
STOPPED = 75

SIGNALS = [
    getattr(signal, name)
    for name in ('SIGTERM', 'SIGINT', 'SIGUSR1')
    if hasattr(signal, name)  # there is no SIGUSR1 on Windows
]

# Launchers hand a signal on, and schedulers send it to whole groups of processes: what
# comes within a second (time in s) is the same wish, heard twice.
SAME_WISH = 1.0


_TRAINING = [runner.train.__code__ for runner in (Runner, FlexibleRunner)]


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Ends the training in order when SIGTERM, SIGINT or SIGUSR1 arrives.

    The step is finished, a checkpoint written by the hook that has ``save_now``
    (``cmae_mm.DurableCheckpointHook``; it returns on all ranks when the file is whole),
    and the process exits with 75. With gradient accumulation, the step ends with the
    update of the weights. A second signal does what it would have done without this
    hook: it ends the process at once.

    With several processes it is enough that one of them gets the signal: all of them
    stop after the same step, the one behind that in which it arrived.

    A signal during validation waits for the end of the step behind it. Where no
    training runs, in other threads than the main one, and for signals that the process
    was told to ignore, signals act as they always do.
    """

    # The step is over when all the others have seen its end.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._saver: Hook | None = None
        self._before: dict[int, object] = {}  # handlers to be put back

    def before_train(self, runner: Runner) -> None:
        """Listen, if there is a hook that can save."""
        self._give_back()  # after a training that an error has ended
        self._saver = next((h for h in runner.hooks if hasattr(h, 'save_now')), None)
        if self._saver is None:
            runner.logger.warning(
                'A signal will end this training at once, without a checkpoint: no '
                'hook can save in the middle of an epoch. Take default_hooks = '
                "dict(checkpoint=dict(type='cmae_mm.DurableCheckpointHook'))."
            )
            return
        self._agreement = Agreement()
        self._asked, self._asked_at = 0, 0.0  # number of the signal; time
        self._new_workers = True
        self._process = os.getpid()
        # Python takes handlers only from the main thread.
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._on_signal)

    def before_train_epoch(self, runner: Runner) -> None:
        """Workers may be started anew."""
        self._new_workers = True

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Keep signals for this process away from its workers."""
        if self._saver is not None and self._new_workers:
            set_workers_apart()
            self._new_workers = False

    def before_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """The same for the workers of a validation."""
        if self._saver is not None and batch_idx == 0:
            set_workers_apart()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Stop if any rank was asked to.

        Raises:
            SystemExit: With code 75.
        """
        # Gradients that wait for an update would not be in the checkpoint.
        if self._saver is None or not runner.optim_wrapper.should_update():
            return
        number = self._agreement.exchange(self._asked)
        if number:
            self._stop(runner, signal.Signals(number).name)

    def after_train(self, runner: Runner) -> None:
        """Nothing is left to be stopped."""
        if self._saver is not None:
            self._agreement.finish()
            self._give_back()

    def _stop(self, runner: Runner, name: str) -> None:
        done = runner.iter + 1
        runner.logger.warning(f'{name}: saving after iteration {done}.')
        self._saver.save_now(runner)
        runner.visualizer.close()
        self._give_back()
        runner.logger.warning(
            f'{name}: stopped after iteration {done} of {runner.max_iters}, with exit '
            f'code {STOPPED}. The same command with --resume goes on from here.'
        )
        raise SystemExit(STOPPED)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker, which got a copy of this handler
            return
        now = time.monotonic()
        if not _trains(frame) or (self._asked and now - self._asked_at > SAME_WISH):
            self._give_back()
            signal.raise_signal(number)
        elif not self._asked:
            self._asked, self._asked_at = number, now
            # Not by the logger: it may be at work in the very line that was
            # interrupted.
            os.write(
                2,
                f'\n{signal.Signals(number).name}: this step will be finished and a '
                'checkpoint written. Once more ends the run at once.\n'.encode(),
            )

    def _give_back(self) -> None:
        """Put the handlers back that were there before."""
        while self._before:
            number, handler = self._before.popitem()
            # None: one that does not come from Python and cannot be put back.
            signal.signal(number, handler or signal.SIG_DFL)


def _trains(frame: FrameType | None) -> bool:
    """Whether a training is under way: an error ends one without telling its hooks."""
    while frame is not None and frame.f_code not in _TRAINING:
        frame = frame.f_back
    return frame is not None
