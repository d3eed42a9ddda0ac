"""What several tests share: a CMAE of toy size, and quiet, seeded runs."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import ManagerMixin, digit_version

DECODER = dict(decoder_embed_dim=8, decoder_depth=1, decoder_num_heads=2)
# LayerNorm inside, so that one image does not depend on the rest of its batch.
MLP = dict(
    type='NonLinearNeck',
    hid_channels=12,
    out_channels=6,
    with_bias=True,
    with_last_bn=False,
    with_avg_pool=False,
    norm_cfg=dict(type='LN'),
)
TINY_CMAE = dict(
    type='cmae_mm.CMAE',
    backbone=dict(
        type='cmae_mm.CMAEViT',
        arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32),
        img_size=16,
        patch_size=4,
        mask_ratio=0.5,
        block_size=2,
    ),
    pixel_decoder=dict(type='cmae_mm.PixelDecoder', **DECODER),
    head=dict(
        type='cmae_mm.ReconstructionHead',
        loss=dict(type='PixelReconstructionLoss', criterion='L2'),
    ),
    feature_decoder=dict(type='cmae_mm.FeatureDecoder', **DECODER),
    projector=MLP,
    contrastive_head=dict(
        type='cmae_mm.ContrastiveHead', predictor=dict(in_channels=6, **MLP)
    ),
)


@pytest.fixture
def forget_runners():
    """Call it between two runners of one test, as if in a new process.

    MMEngine names runners by the second: those of one would share log and history.
    """

    def forget(kind=ManagerMixin):
        """Loggers, message hubs, scopes and every class of visualizers."""
        kind._instance_dict.clear()
        for inner in kind.__subclasses__():
            forget(inner)

    yield forget
    forget()


@pytest.fixture(autouse=True)
def _seed_and_scope(forget_runners):
    """Every test starts from the same seed, in mmpretrain's scope."""
    torch.manual_seed(0)
    init_default_scope('mmpretrain')


@pytest.fixture
def compiling():
    """For tests that compile: left out where they would harm those that follow."""
    if digit_version(torch.__version__) < digit_version('2.2.0'):
        pytest.skip('after compiling, optimisers of torch 2.1 call no hooks')


@pytest.fixture
def tiny_cfg():
    """Config of a toy CMAE: 16 px, 4x4 patches, width 16; free to be changed."""
    return copy.deepcopy(TINY_CMAE)


@pytest.fixture
def build():
    """Build a model config and initialise its weights."""

    def build_and_init(cfg):
        from mmengine.registry import MODELS

        model = MODELS.build(copy.deepcopy(cfg))
        model.init_weights()
        return model

    return build_and_init


@pytest.fixture
def views():
    """A view and a shifted view of three images, normalised."""
    return [torch.randn(3, 3, 16, 16), torch.randn(3, 3, 16, 16)]


@pytest.fixture
def hybrid_cfg(tiny_cfg):
    """The same with ConvMAE's hybrid encoder: 32 px, 4x4 patches."""
    tiny_cfg['backbone'] = dict(
        type='cmae_mm.CMAEConvViT',
        widths=(8, 12, 16),
        depths=(1, 1, 2),
        strides=(2, 2, 2),
        num_heads=2,
        mlp_ratio=2.0,
        img_size=32,
        mask_ratio=0.5,
    )
    return tiny_cfg


@pytest.fixture
def write_run(tmp_path):
    """Write the checkpoint of a run: its config inside, random weights; the file.

    Images are resized to 16 px by the test pipeline, and normalised with unusual
    numbers.
    """

    def write(cfg, name='run/epoch_1.pth', **settings):
        from mmengine.config import Config
        from mmengine.registry import MODELS

        preprocessor = dict(
            type='cmae_mm.TwoViewPreprocessor',
            mean=[100.0, 110.0, 120.0],
            std=[50.0, 51.0, 52.0],
            to_rgb=True,
        )
        pipeline = [
            dict(type='cmae_mm.LoadImage'),
            dict(type='Resize', scale=16, backend='pillow', interpolation='bicubic'),
            dict(type='PackInputs'),
        ]
        settings = {
            'model': dict(data_preprocessor=preprocessor, **copy.deepcopy(cfg)),
            'test_dataloader': dict(
                dataset=dict(type='CustomDataset', pipeline=pipeline)
            ),
            **settings,
        }
        model = MODELS.build(copy.deepcopy(settings['model']))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.3)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = dict(cfg=Config(settings).pretty_text, epoch=1, iter=2)
        weights = model.state_dict()
        torch.save(
            dict(meta=meta, state_dict=weights, message_hub={}, optimizer={}), path
        )
        return path

    return write


PLAIN = dict(type='cmae_mm.PlainCheckpointHook')


class ToyModel(BaseModel):
    """One layer, trained to answer with zero."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.layer(inputs).square().mean())


@pytest.fixture
def toy_runner():
    """Make a runner with two steps per epoch, and a checkpoint after each epoch."""
    made = []

    def make(folder, epochs=2, checkpoint=None, hooks=(PLAIN,), **options):
        hook = dict(type='cmae_mm.DurableCheckpointHook', interval=1)
        made.append(folder)
        torch.manual_seed(0)
        return Runner(
            ToyModel(),
            str(folder),
            train_dataloader=dict(
                batch_size=4,
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
                dataset=[dict(inputs=torch.tensor([float(i)])) for i in range(8)],
            ),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            default_hooks=dict(checkpoint=hook | (checkpoint or {})),
            custom_hooks=list(hooks),
            randomness=dict(seed=0),
            default_scope='mmpretrain',
            experiment_name=f'toy-{len(made)}-{folder}'.replace('/', '-'),
            **dict(log_level='WARNING') | options,
        )

    return make


@pytest.fixture(scope='session')
def nano_checkpoint(tmp_path_factory):
    """A file as a pre-training leaves it: ViT-nano/8 for 64 px, random weights."""
    from mmengine.config import Config
    from mmengine.registry import MODELS

    config = Path(__file__).parents[1] / (
        'configs/scenes/cmae_vit-nano-p8_bs32-8e_scenes.py'
    )
    cfg = Config.fromfile(config)
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    file = tmp_path_factory.mktemp('pretrain') / 'epoch_1.pth'
    text = Config(dict(model=cfg.model)).pretty_text
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=text)), file)
    return file


@pytest.fixture(scope='session')
def few_scenes(tmp_path_factory):
    """The generated data set: 24 and 12 pictures of 64 px of each of its two halves."""
    from cmae_mm.datasets.scenes import generate_scenes

    root = tmp_path_factory.mktemp('data') / 'scenes'
    generate_scenes(root, num_train=24, num_val=12, size=64, workers=1)
    return root
