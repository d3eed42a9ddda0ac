"""Pictures for MLflow, which takes them as files."""

from typing import Any

import numpy as np
from mmengine.visualization import MLflowVisBackend
from mmengine.visualization.vis_backend import force_init_env

from cmae_mm.registry import VISBACKENDS


@VISBACKENDS.register_module()
class MLflowBackend(MLflowVisBackend):
    """MMEngine's backend, with pictures that MLflow can store.

    The stock one hands over the bare name of a picture as that of a file. MLflow takes
    the format from its ending, finds none, and refuses; and one step's picture would
    take the place of the last one's. Everything else is as it is there, settings too.
    """

    @force_init_env
    def add_image(
        self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any
    ) -> None:
        """Store a picture as the artifact ``name/step.png``.

        Args:
            name (str): Of the picture.
            image (np.ndarray): RGB, (H, W, 3), uint8.
            step (int): Of the training. Defaults to 0.
        """
        self._mlflow.log_image(image, f'{name}/{step:08d}.png')
