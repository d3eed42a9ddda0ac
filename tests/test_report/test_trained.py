"""What trained models see, against torch's own arithmetic."""

import pytest
import torch
from mmengine.registry import MODELS

from cmae_mm.report.records import read_run
from cmae_mm.report.samples import choose_samples
from cmae_mm.report.trained import encode, load_config, load_trained

SCALES = dict(mean=[120.0] * 3, std=[60.0] * 3)
MIXER = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)


def attention_by_torch(block, tokens):
    """Weights (N, L, L) of a block, the mean of its heads."""
    theirs = torch.nn.MultiheadAttention(16, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(block.attn.qkv.weight)
        theirs.in_proj_bias.copy_(block.attn.qkv.bias)
        return theirs(tokens, tokens, tokens, need_weights=True)[1]


def listen(block):
    """What enters the attention of a block, as a list that fills itself."""
    caught = []
    block.ln1.register_forward_hook(lambda module, args, out: caught.append(out))
    return caught


def test_a_cmae_looks_with_its_class_token(trained):
    run = read_run(trained)
    model, file = load_trained(run)
    assert file.name == 'epoch_1.pth' and not model.training
    samples = choose_samples(load_config(run), (16, 16))
    caught = listen(model.backbone.layers[-1])
    encoded = encode(model, samples.images)
    assert encoded.grid == (4, 4) and encoded.from_class_token
    weights = attention_by_torch(model.backbone.layers[-1], caught[0])[:, 0, 1:]
    expected = weights / weights.sum(dim=1, keepdim=True)
    torch.testing.assert_close(encoded.attention, expected)
    data = model.data_preprocessor(dict(inputs=samples.images, data_samples=None))
    with torch.no_grad():
        tokens = model.extract_feat(data['inputs'])[-1]
    torch.testing.assert_close(encoded.patches, tokens[:, 1:])
    # k-NN compares the same features.
    compared = model(data['inputs'], mode='predict')
    compared = torch.stack([sample.feature for sample in compared])
    torch.testing.assert_close(encoded.features, compared.detach())


def test_a_hybrid_looks_with_its_mean_patch(tiny_cfg, build):
    hybrid = dict(widths=(8, 12, 16), depths=(1, 1, 2), strides=(2, 2, 2), num_heads=2)
    tiny_cfg['backbone'] = dict(
        type='cmae_mm.CMAEConvViT', img_size=32, mask_ratio=0.5, **hybrid
    )
    tiny_cfg['data_preprocessor'] = dict(type='SelfSupDataPreprocessor', **SCALES)
    model = build(tiny_cfg).eval()
    caught = listen(model.backbone.layers[-1])
    encoded = encode(model, torch.randint(0, 256, (20, 3, 32, 32)).byte())
    assert encoded.patches.shape == (20, 16, 16) and not encoded.from_class_token
    expected = attention_by_torch(model.backbone.layers[-1], torch.cat(caught)).mean(1)
    torch.testing.assert_close(encoded.attention, expected)


def test_a_classifier_shows_its_last_tokens():
    vit = dict(type='VisionTransformer', arch=MIXER, img_size=16, patch_size=4)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=vit,
            head=dict(type='VisionTransformerClsHead', num_classes=2, in_channels=16),
            data_preprocessor=dict(**SCALES),
        )
    ).eval()
    encoded = encode(model, torch.randint(0, 256, (3, 3, 16, 16)).byte())
    assert encoded.patches.shape == (3, 16, 16) and encoded.grid == (4, 4)
    torch.testing.assert_close(encoded.attention.sum(dim=1), torch.ones(3))
    # Normalised, as the network's own last layer would.
    assert encoded.patches.mean(dim=-1).abs().max() < 1e-5


def test_weights_that_do_not_fit_are_refused(trained):
    checkpoint = torch.load(trained / 'epoch_1.pth')
    del checkpoint['state_dict']['backbone.cls_token']
    torch.save(checkpoint, trained / 'epoch_1.pth')
    with pytest.raises(RuntimeError, match='do not fit .*cls_token'):
        load_trained(read_run(trained))
