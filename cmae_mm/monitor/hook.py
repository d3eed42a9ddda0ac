import time
from collections.abc import Callable

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.distributed.fsdp import FullyShardedDataParallel

from cmae_mm.models import CMAE
from cmae_mm.models.masking import Masking
from cmae_mm.pictures import rebuild_views
from cmae_mm.registry import HOOKS

from .drawing import COLOURS, column, enlarge, match_row, row
from .fixed_batch import FixedBatch, choose_batch
from .labelled import find_labelled
from .learning import learning_figures
from .matching import (
    Matches,
    match_completed,
    match_figures,
    match_visible,
    true_places,
)
from .quiet import without_a_trace


@HOOKS.register_module()
class LearningMonitor(Hook):
    """Shows the learning, on the same pictures every time.

    Before the first step, every ``interval`` epochs and at the end, it writes through
    the visualizer of the run, and so to every backend that is switched on:

    - pictures ``monitor_view_<i>`` and ``monitor_match_<i>``,
    - figures ``monitor/...``; what they mean is told in docs/monitor.md.

    The step written with them is the number of iterations done. Images, crops, shifts,
    colours and masks are those of ``seed``. The run itself is not touched: random
    numbers, weights, gradients and buffers are after it what they were before.

    The first rank does it alone, without a word to the others, which wait for it at
    their next common step. A model that is sharded (FSDP) is not shown: no rank holds
    it. What goes wrong is told in the log and ends the monitor, not the run.

    Args:
        interval (int): Epochs from one look to the next, or iterations; 0 switches the
            monitor off. Defaults to 20.
        by_epoch (bool): Whether ``interval`` counts epochs. To a loop by iterations the
            whole training is one epoch: give False there. Defaults to True.
        num_images (int): Images that the figures are of, 2 or more. Defaults to 32.
        num_pictures (int): How many of them are drawn, 0 to ``num_images``. Defaults to
            8.
        bank_images (int): Labelled images that k-NN and linear classifier learn from;
            0 leaves the accuracies out. Defaults to 500.
        query_images (int): Labelled images that are classified; 0 leaves the
            accuracies out. Defaults to 250.
        seed (int): Of all that is fixed. Defaults to 0.

    Raises:
        ValueError: If a number is out of its range.
    """

    priority = 'LOW'  # after the logger, whose numbers belong to the step before

    def __init__(
        self,
        interval: int = 20,
        by_epoch: bool = True,
        num_images: int = 32,
        num_pictures: int = 8,
        bank_images: int = 500,
        query_images: int = 250,
        seed: int = 0,
    ) -> None:
        given = dict(interval=interval, bank_images=bank_images)
        given |= dict(query_images=query_images, num_pictures=num_pictures, seed=seed)
        for name, value in given.items():
            if value < 0:
                raise ValueError(f'LearningMonitor got {name}={value}; take 0 or more.')
        if num_images < 2 or num_pictures > num_images:
            raise ValueError(
                f'LearningMonitor got num_images={num_images} and num_pictures='
                f'{num_pictures}. It needs two images or more, and draws some of them.'
            )
        self.interval = interval
        self.by_epoch = by_epoch
        self.num_images = num_images
        self.num_pictures = num_pictures
        self.bank_images = bank_images
        self.query_images = query_images
        self.seed = seed
        self._batch: FixedBatch | None = None
        self._labelled = None

    def before_run(self, runner: Runner) -> None:
        """Choose the images, before other hooks change how images are read."""
        if not self.interval or not is_main_process():
            return
        model = _unwrap(runner.model)
        if isinstance(runner.model, FullyShardedDataParallel) or not isinstance(
            model, CMAE
        ):
            runner.logger.info(
                'LearningMonitor shows models of the type cmae_mm.CMAE that are not '
                'sharded (FSDP). This is another one, so it shows nothing.'
            )
            return
        with without_a_trace(model, self.seed):
            self._try(runner, self._prepare)

    def before_train(self, runner: Runner) -> None:
        """Show how it begins, unless the run was resumed."""
        if runner.iter == 0:
            self._look(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Show where it is, if it is time."""
        due = self.every_n_epochs(runner, self.interval)
        if self.by_epoch and (due or self.is_last_train_epoch(runner)):
            self._look(runner)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Show where it is, if it is time."""
        due = self.every_n_train_iters(runner, self.interval)
        if not self.by_epoch and (due or self.is_last_train_iter(runner)):
            self._look(runner, done=1)

    def _prepare(self, runner: Runner) -> None:
        self._batch = choose_batch(runner, self.num_images, self.seed)
        self._labelled = find_labelled(runner, self.bank_images, self.query_images)
        classes = f' Accuracies: {self._labelled}.' if self._labelled else ''
        runner.logger.info(
            f'LearningMonitor looks at {len(self._batch.views[0])} images of the '
            f'{self._batch.source}.{classes}'
        )

    def _look(self, runner: Runner, done: int = 0) -> None:
        """Write pictures and figures; ``done`` iterations are not counted yet."""
        if self._batch is None:
            return
        model = _unwrap(runner.model)
        started = time.perf_counter()

        def write(runner: Runner) -> None:
            figures, pictures = self.look_at(model, runner.train_dataloader.collate_fn)
            figures = {f'monitor/{name}': value for name, value in figures.items()}
            figures['monitor/seconds'] = round(time.perf_counter() - started, 3)
            step = runner.iter + done
            runner.visualizer.add_scalars(figures, step=step)
            for name, picture in pictures.items():
                runner.visualizer.add_image(name, picture, step=step)

        with without_a_trace(model, self.seed):
            self._try(runner, write)

    def _try(self, runner: Runner, action: Callable[[Runner], None]) -> None:
        """A run of days does not end because a picture could not be drawn."""
        try:
            action(runner)
        except Exception as error:
            self._batch = None
            runner.logger.warning(
                f'LearningMonitor stops here; the training goes on. '
                f'{type(error).__name__}: {error}'
            )

    def look_at(
        self, model: CMAE, collate: Callable
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """All figures and pictures of a model.

        Args:
            model (CMAE): In evaluation mode.
            collate (Callable): Makes a batch of a list of labelled samples.

        Returns:
            tuple[dict, dict]: Figures by name, and pictures by name, RGB, uint8.
        """
        data = model.data_preprocessor({**self._batch.data}, training=True)
        views = data['inputs']
        views = [views] if isinstance(views, torch.Tensor) else list(views)
        view, shifted = views[0], views[1] if len(views) > 1 else None
        masking = model.backbone.masking(len(view))
        figures = learning_figures(model, view, shifted, masking)
        matches = []
        if model.contrastive_weight:
            found = {
                'match_accuracy': match_completed(model, view, shifted, masking),
                'match_visible': match_visible(model, view, shifted, masking),
            }
            matches = [match for match in found.values() if match]
            figures |= self._match_figures(model, found)
        if self._labelled:
            figures |= self._labelled.accuracies(model, collate)
        pictures = self._draw(model, view, shifted, masking, matches)
        return figures, pictures

    def _match_figures(
        self, model: CMAE, found: dict[str, Matches | None]
    ) -> dict[str, float]:
        """Shares of hits, where it is known what a hit is."""
        figures = {}
        for name, match in found.items():
            if match is None or self._batch.shifts is None:
                continue
            places, grid = self._places(model, match), model.backbone.patch_resolution
            hits, chance = match_figures(match.maps, places, grid)
            foreign, _ = match_figures(match.foreign, places, grid)
            figures |= {name: hits, f'{name}_foreign': foreign, 'match_chance': chance}
        return {name: value for name, value in figures.items() if value == value}

    def _places(self, model: CMAE, match: Matches) -> torch.Tensor:
        """True places (B, N, 2) of patches in the target view; NaN if unknown."""
        encoder, shifts = model.backbone, self._batch.shifts
        if shifts is None:
            return torch.full((*match.ids.shape, 2), torch.nan)
        cols = encoder.patch_resolution[1]
        return true_places(match.ids, shifts, cols, encoder.patch_size)

    def _draw(
        self,
        model: CMAE,
        view: torch.Tensor,
        shifted: torch.Tensor | None,
        masking: Masking,
        matches: list[Matches],
    ) -> dict[str, np.ndarray]:
        """All pictures, by name."""
        count = self.num_pictures
        if not count:
            return {}
        few = Masking(*(ids[:count] for ids in masking))
        shown = rebuild_views(
            model,
            view[:count],
            None if shifted is None else shifted[:count],
            few,
            self._batch.eight_bit,
        )
        pictures = {}
        for i, named in enumerate(shown):
            named = {name: enlarge(image) for name, image in named.items()}
            pictures[f'monitor_view_{i}'] = row([*named.values()])
            rows = [self._draw_match(model, match, i, named) for match in matches]
            if rows:
                pictures[f'monitor_match_{i}'] = column(rows)
        return pictures

    def _draw_match(
        self, model: CMAE, match: Matches, i: int, named: dict[str, np.ndarray]
    ) -> np.ndarray:
        """The row of one image."""
        grid = model.backbone.patch_resolution
        places = self._places(model, match)[i].cpu().numpy()
        chosen = choose_patches(
            named['input'], match.ids[i].cpu().numpy(), places, grid
        )
        return match_row(
            named['masked'],
            named['target view'],
            match.maps[i].cpu().numpy()[chosen],
            match.ids[i].cpu().numpy()[chosen],
            places[chosen],
            grid,
        )


def choose_patches(
    image: np.ndarray, ids: np.ndarray, places: np.ndarray, grid: tuple[int, int]
) -> np.ndarray:
    """Three patches worth looking at: apart from each other, and with some detail.

    Args:
        image (ndarray): The whole view, (H, W, 3).
        ids (ndarray): Places of the patches there are, (N,).
        places (ndarray): Their true places in the target view, (N, 2); those outside of
            it are taken only if there is nothing else.
        grid (tuple[int, int]): Rows and columns of patches.

    Returns:
        ndarray: Which of the N, up to three, from the top of the view to its bottom.
    """
    rows, cols = grid
    side = image.shape[0] // rows
    cut = image.mean(axis=2).reshape(rows, side, cols, side)
    detail = cut.std(axis=(1, 3)).flatten()[ids]
    outside = ((places < 0) | (places > np.subtract(grid, 1))).any(axis=1)
    order = np.argsort(ids)
    parts = [part for part in np.array_split(order, len(COLOURS)) if len(part)]
    return np.array([max(p, key=lambda n: (not outside[n], detail[n])) for p in parts])


def _unwrap(model: torch.nn.Module) -> torch.nn.Module:
    return model.module if is_model_wrapper(model) else model
