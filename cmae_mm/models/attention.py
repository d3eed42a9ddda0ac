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
    """Scaled dot product attention by torch's fused kernel.

    In half precision on a CPU that kernel is slower than in float32 (1.3 to 2.5
    times, forward and backward, torch 2.11 on an AMD EPYC), and less precise; there
    it is given float32.

    Args:
        query (Tensor): (B, heads, N, d).
        key (Tensor): (B, heads, N, d).
        value (Tensor): (B, heads, N, d).
        dropout_p (float): Of the attention weights, in [0, 1). Defaults to 0.0.

    Returns:
        Tensor: (B, heads, N, d), of the dtype of ``value``.
    """
    on_cpu = query.device.type == 'cpu'
    if not on_cpu or query.dtype not in (torch.bfloat16, torch.float16):
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout_p)
    with torch.autocast('cpu', enabled=False):
        precise = F.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), dropout_p=dropout_p
        )
    return precise.to(value.dtype)


def use_fast_attention(model: nn.Module) -> None:
    """Let every attention of a model compute with :func:`attend`."""
    for module in model.modules():
        if isinstance(module, MultiheadAttention):
            module.scaled_dot_product_attention = attend
