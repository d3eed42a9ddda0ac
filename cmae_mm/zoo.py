"""Our configs in the model hub of mmpretrain.

.. code-block:: python

    import mmpretrain
    from cmae_mm.zoo import register_models

    register_models()
    mmpretrain.list_models('*cmae*', exclude_patterns=['*fcmae*'])
    mmpretrain.get_model('cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k')
"""

from pathlib import Path

# What mmpretrain can build: pre-training and classification. The other metafiles of
# model-index.yml are for mmsegmentation and mmdet.
FOLDERS = (
    'pretrain',
    'ablation',
    'finetune',
    'linear',
    'partial',
    'scenes',
    'camvid',
    'cifar10',
)


def register_models() -> None:
    """Make ``mmpretrain.list_models`` and ``get_model`` know our configs.

    mmpretrain learns of its own models in the same way, but knows of no plugins:
    this has to be called. A second call changes nothing.

    Raises:
        FileNotFoundError: If the package came without its configs.
    """
    # Late, because it imports every model of mmpretrain.
    from mmpretrain.apis import ModelHub

    root = find_root()
    # All are registered in one go, so one name tells of all.
    if not ModelHub.has('cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k'):
        for folder in FOLDERS:
            metafile = root / 'configs' / folder / 'metafile.yml'
            ModelHub.register_model_index(metafile, config_prefix=root)


def find_root() -> Path:
    """The folder that holds model-index.yml and configs.

    Returns:
        Path: ``cmae_mm/.mim`` where setup.py has filled it, or the repository.

    Raises:
        FileNotFoundError: If it is in neither.
    """
    package = Path(__file__).resolve().parent
    for root in (package / '.mim', package.parent):
        if (root / 'model-index.yml').is_file():
            return root
    raise FileNotFoundError(
        f'cmae_mm is in {package} without its configs: there is no model-index.yml in '
        f'{package / ".mim"} or {package.parent}. Try: make setup, in the repository'
    )
