"""The attention kernel, where torch's choice is not the fastest."""

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import MultiheadAttention
from torch import nn


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout_p: float = 0.0,
) -> torch.Tensor:
    """Scaled dot product attention.

    torch's fused kernel, except in half precision on a CPU: its kernel for that is
    slower there than plain products with a softmax in float32 between them (2 times
    at 197 tokens, see docs/benchmarks.md), which is what is computed then.

    Args:
        query (Tensor): (B, heads, N, d).
        key (Tensor): (B, heads, N, d).
        value (Tensor): (B, heads, N, d).
        dropout_p (float): Of the attention weights, in [0, 1). Defaults to 0.0.

    Returns:
        Tensor: (B, heads, N, d).
    """
    on_cpu = query.device.type == 'cpu'
    if not on_cpu or query.dtype not in (torch.bfloat16, torch.float16):
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout_p)
    scores = (query @ key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5
    weights = F.dropout(scores.softmax(dim=-1), dropout_p)
    return weights.to(value.dtype) @ value


def use_fast_attention(model: nn.Module) -> None:
    """Let every attention of a model compute with :func:`attend`."""
    for module in model.modules():
        if isinstance(module, MultiheadAttention):
            module.scaled_dot_product_attention = attend
