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

    In bfloat16 on a CPU that kernel is slower than in float32. There, scores,
    softmax and sum one after the other take half the time, forward and backward
    (torch 2.11 on an AMD EPYC with AVX512_BF16). The softmax computes in float32
    inside; the scores are rounded to bfloat16 before it, as in every attention
    that is not fused.

    Args:
        query (Tensor): (B, heads, N, d).
        key (Tensor): (B, heads, N, d).
        value (Tensor): (B, heads, N, d).
        dropout_p (float): Of the attention weights, in [0, 1). Defaults to 0.0.

    Returns:
        Tensor: (B, heads, N, d), of the dtype of ``value``.
    """
    if query.device.type != 'cpu' or query.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout_p)
    with torch.autocast('cpu', enabled=False):
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)  # (.., N, N)
        return F.dropout(scores.softmax(dim=-1), dropout_p) @ value


def use_fast_attention(model: nn.Module) -> None:
    """Let every attention of a model compute with :func:`attend`."""
    for module in model.modules():
        if isinstance(module, MultiheadAttention):
            module.scaled_dot_product_attention = attend
