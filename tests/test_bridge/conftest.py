"""Toy checkpoints in the formats of others: 16 px, 4x4 patches, width 16, 2 heads."""

import pytest
import torch

WIDTH, HIDDEN, DEPTH, HEADS, PATCH, PATCHES = 16, 32, 2, 2, 4, 16


def shapes_of_mae():
    """Names and shapes of a pre-training checkpoint of facebookresearch/mae."""

    def layer(name, *shape):
        return {f'{name}.weight': shape, f'{name}.bias': shape[:1]}

    def blocks(start, depth, width, hidden):
        shapes = {}
        for i in range(depth):
            shapes |= layer(f'{start}.{i}.norm1', width)
            shapes |= layer(f'{start}.{i}.attn.qkv', 3 * width, width)
            shapes |= layer(f'{start}.{i}.attn.proj', width, width)
            shapes |= layer(f'{start}.{i}.norm2', width)
            shapes |= layer(f'{start}.{i}.mlp.fc1', hidden, width)
            shapes |= layer(f'{start}.{i}.mlp.fc2', width, hidden)
        return shapes

    return {
        'cls_token': (1, 1, WIDTH),
        'pos_embed': (1, 1 + PATCHES, WIDTH),
        **layer('patch_embed.proj', WIDTH, 3, PATCH, PATCH),
        **blocks('blocks', DEPTH, WIDTH, HIDDEN),
        **layer('norm', WIDTH),
        'mask_token': (1, 1, 8),
        **layer('decoder_embed', 8, WIDTH),
        'decoder_pos_embed': (1, 1 + PATCHES, 8),
        **blocks('decoder_blocks', 1, 8, 32),
        **layer('decoder_norm', 8),
        **layer('decoder_pred', 3 * PATCH**2, 8),
    }


@pytest.fixture
def mae_weights():
    """A random MAE in facebookresearch's names."""
    return {name: 0.3 * torch.randn(shape) for name, shape in shapes_of_mae().items()}


@pytest.fixture
def randomise():
    """Replace all parameters of a module, also the biases and norms that start even."""

    def replace(module):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(std=0.3)
        module.eval()  # returns nothing for a backbone of mmpretrain
        return module

    return replace


@pytest.fixture
def released_weights(tiny_cfg, build, randomise):
    """A random CMAE under the names of the authors' code."""
    tiny_cfg['target_final_norm'] = False
    weights = randomise(build(tiny_cfg)).state_dict()
    return {
        name.replace('contrastive_head.', 'head.'): tensor
        for name, tensor in weights.items()
    }


@pytest.fixture
def hf_config():
    """Size of the toy, in transformers' words."""
    return dict(
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        intermediate_size=HIDDEN,
        image_size=16,
        patch_size=PATCH,
        decoder_hidden_size=8,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )


@pytest.fixture
def make_source(tmp_path, mae_weights, request, randomise):
    """Write a toy in a format; returns its path."""

    def released(path):
        weights = request.getfixturevalue('released_weights')
        torch.save(dict(meta={}, state_dict=weights), path)

    def mae(path):
        torch.save(dict(model=mae_weights, epoch=799), path)

    def timm(path):
        encoder = {k: v for k, v in mae_weights.items() if 'decoder' not in k}
        del encoder['mask_token']
        torch.save({**encoder, 'head.weight': torch.ones(5, WIDTH)}, path)

    def hf(path):
        transformers = pytest.importorskip('transformers')
        config = transformers.ViTMAEConfig(**request.getfixturevalue('hf_config'))
        randomise(transformers.ViTMAEForPreTraining(config)).save_pretrained(path)

    def cmae_mm(path):
        cfg, build = map(request.getfixturevalue, ('tiny_cfg', 'build'))
        torch.save(dict(state_dict=randomise(build(cfg)).state_dict()), path)

    makers = {
        'cmae-released': released,
        'mae': mae,
        'timm': timm,
        'hf': hf,
        'cmae-mm': cmae_mm,
    }

    def make(kind):
        path = tmp_path / (f'{kind}' if kind == 'hf' else f'{kind}.pth')
        makers[kind](path)
        return path

    return make
