"""A plain vision transformer in one function, on tensors under foreign names.

The second opinion where the source's own class is not at hand.
"""

import torch
import torch.nn.functional as F

from .names import Weights
from .vit import ViTSize

# Role of a layer -> its name; the last two stand outside the blocks.
MAE_ROLES = {
    'embed': 'patch_embed.proj',
    'blocks': 'blocks',
    'norm1': 'norm1',
    'qkv': 'attn.qkv',
    'proj': 'attn.proj',
    'norm2': 'norm2',
    'fc1': 'mlp.fc1',
    'fc2': 'mlp.fc2',
    'last': 'norm',
    'last_pooled': 'fc_norm',
}
RELEASED_ROLES = {
    'embed': 'patch_embed.projection',
    'blocks': 'layers',
    'norm1': 'ln1',
    'qkv': 'attn.qkv',
    'proj': 'attn.proj',
    'norm2': 'ln2',
    'fc1': 'ffn.layers.0.0',
    'fc2': 'ffn.layers.1',
    'last': 'ln1',
    'last_pooled': 'fc_norm',
}


@torch.no_grad()
def features(
    weights: Weights, roles: dict[str, str], size: ViTSize, images: torch.Tensor
) -> torch.Tensor:
    """Encode whole images.

    Args:
        weights (dict[str, Tensor]): State dict under its own names.
        roles (dict[str, str]): What its layers are called.
        size (ViTSize): Size of the network.
        images (Tensor): (B, C, H, W), as the network wants them normalised.

    Returns:
        Tensor: Tokens (B, 1 + L, D), or their normalised mean (B, D) if
        ``size.pooled``.
    """

    def layer(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return weights[f'{name}.weight'], weights[f'{name}.bias']

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (size.width,), *layer(name), size.eps)

    x = F.conv2d(images, *layer(roles['embed']), stride=size.patch)
    x = x.flatten(2).transpose(1, 2)  # (B, L, D)
    x = torch.cat([weights['cls_token'].expand(len(x), -1, -1), x], dim=1)
    x = x + weights['pos_embed']  # (B, 1 + L, D)
    for i in range(size.depth):
        block = {k: f'{roles["blocks"]}.{i}.{name}' for k, name in roles.items()}
        qkv = F.linear(norm(x, block['norm1']), *layer(block['qkv']))
        qkv = qkv.unflatten(2, (3, size.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv  # (B, heads, 1 + L, D / heads)
        scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        mixed = (scores.softmax(dim=3) @ value).transpose(1, 2).flatten(2)
        x = x + F.linear(mixed, *layer(block['proj']))
        inner = F.gelu(F.linear(norm(x, block['norm2']), *layer(block['fc1'])))
        x = x + F.linear(inner, *layer(block['fc2']))
    if size.pooled:
        return norm(x[:, 1:].mean(dim=1), roles['last_pooled'])
    return norm(x, roles['last'])
