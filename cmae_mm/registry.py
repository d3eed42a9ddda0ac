"""Our child registries, all under the root registries of MMEngine.

A type written ``cmae_mm.<Name>`` is found from the default scope of any
OpenMMLab library (mmpretrain, mmseg, mmdet), and can clash with none of theirs.
"""

from mmengine.registry import DATA_SAMPLERS as ROOT_DATA_SAMPLERS
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import LOOPS as ROOT_LOOPS
from mmengine.registry import METRICS as ROOT_METRICS
from mmengine.registry import MODEL_WRAPPERS as ROOT_MODEL_WRAPPERS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as ROOT_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import OPTIM_WRAPPERS as ROOT_OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as ROOT_RUNNERS
from mmengine.registry import STRATEGIES as ROOT_STRATEGIES
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import VISBACKENDS as ROOT_VISBACKENDS
from mmengine.registry import Registry

MODELS = Registry('model', parent=ROOT_MODELS, locations=['cmae_mm.models'])
MODEL_WRAPPERS = Registry(
    'model_wrapper', parent=ROOT_MODEL_WRAPPERS, locations=['cmae_mm.engine']
)
TRANSFORMS = Registry(
    'transform', parent=ROOT_TRANSFORMS, locations=['cmae_mm.datasets']
)
DATASETS = Registry(
    'dataset',
    parent=ROOT_DATASETS,
    locations=['cmae_mm.datasets.image_folder', 'cmae_mm.datasets.archive_images'],
)
DATA_SAMPLERS = Registry(
    'data sampler', parent=ROOT_DATA_SAMPLERS, locations=['cmae_mm.datasets']
)
HOOKS = Registry(
    'hook',
    parent=ROOT_HOOKS,
    locations=['cmae_mm.engine', 'cmae_mm.guards', 'cmae_mm.monitor'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=ROOT_OPTIM_WRAPPER_CONSTRUCTORS,
    locations=['cmae_mm.engine'],
)
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper', parent=ROOT_OPTIM_WRAPPERS, locations=['cmae_mm.engine']
)
LOOPS = Registry(
    'loop', parent=ROOT_LOOPS, locations=['cmae_mm.engine', 'cmae_mm.evaluation']
)
STRATEGIES = Registry('strategy', parent=ROOT_STRATEGIES, locations=['cmae_mm.engine'])
METRICS = Registry('metric', parent=ROOT_METRICS, locations=['cmae_mm.evaluation'])
RUNNERS = Registry('runner', parent=ROOT_RUNNERS, locations=['cmae_mm.guards'])
VISBACKENDS = Registry(
    'vis_backend', parent=ROOT_VISBACKENDS, locations=['cmae_mm.monitor']
)
