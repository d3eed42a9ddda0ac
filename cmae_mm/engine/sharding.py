"""The model over several GPUs, none of which holds all of it (FSDP)."""

import copy
from collections.abc import Iterator
from functools import partial

import torch
from mmcv.cnn.bricks.transformer import FFN
from mmengine._strategy import FSDPStrategy
from mmengine.dist import is_main_process
from mmengine.model import MMFullyShardedDataParallel
from mmpretrain.models.utils import MultiheadAttention
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecision

from cmae_mm.models import CMAE
from cmae_mm.registry import MODEL_WRAPPERS, STRATEGIES


@STRATEGIES.register_module()
class ShardedStrategy(FSDPStrategy):
    """MMEngine's ``FSDPStrategy``, with resuming that works, and fit for a CPU.

    To be named in a config with ``runner_type='FlexibleRunner'``. Checkpoints are
    whole: any other run can start from their weights, and any number of processes can
    resume them with this strategy.

    Args:
        model_wrapper (dict, optional): Defaults to :class:`cmae_mm.ShardedCMAE`.
        **kwargs: See :class:`mmengine._strategy.FSDPStrategy`.
    """

    def __init__(self, *, model_wrapper: dict | None = None, **kwargs) -> None:
        super().__init__(
            model_wrapper=model_wrapper or dict(type='cmae_mm.ShardedCMAE'),
            state_dict_cfg='full',
            **kwargs,
        )
        self._gathered: tuple[dict, dict] | None = None
        # What is on the CPU already must not be moved there: torch would free it.
        on_gpu = torch.cuda.is_available()
        self.state_dict_config.offload_to_cpu = on_gpu
        self.optim_state_dict_config.offload_to_cpu = on_gpu

    def gather(self) -> None:
        """Bring weights and optimiser state together on rank 0, for the next save.

        To be called on all ranks. The save itself can then be the work of rank 0 alone.
        """
        gathered = self.model_state_dict(), self.optim_state_dict()
        if is_main_process():
            self._gathered = gathered

    def model_state_dict(self) -> dict:
        """All weights on rank 0, an empty dict on the others."""
        return self._gathered[0] if self._gathered else super().model_state_dict()

    def optim_state_dict(self) -> dict:
        """The optimiser's whole state on rank 0, an empty dict on the others."""
        if self._gathered:
            return self._gathered[1]
        state = super().optim_state_dict()
        if state:  # the rate to be logged, which torch leaves out
            state['base_param_settings'] = self.optim_wrapper.base_param_settings
        return state

    def save_checkpoint(self, filename: str, **kwargs) -> None:
        """Save what was gathered, or gather it: then all ranks must come here."""
        try:
            super().save_checkpoint(filename, **kwargs)
        finally:
            self._gathered = None

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Give each process its slices of the optimiser's whole state."""
        base_param_settings = state_dict.pop('base_param_settings')
        # MMEngine 0.10.7 has the arguments in the order of before torch 2.1.
        slices = FullyShardedDataParallel.optim_state_dict_to_load(
            self.model, self.optim_wrapper.optimizer, state_dict
        )
        slices['base_param_settings'] = base_param_settings
        self.optim_wrapper.load_state_dict(slices)


@MODEL_WRAPPERS.register_module()
class ShardedCMAE(MMFullyShardedDataParallel):
    """A CMAE of which each process keeps a slice of every parameter.

    Gradients and the optimiser's state are sliced alike. What a process needs of
    the others it gathers right before use, part by part, and forgets at once.
    Parts are the attention and the MLP of each transformer block, and what is left
    of each encoder and projector. Every part of the target has its twin in the
    online branch, cut at the same places, so that each process updates its slice of
    the momentum copy without asking the others.

    Args:
        module (CMAE): The whole model, the same on all processes.
        device_id (int | torch.device, optional): The GPU of this process, which the
            strategy tells. Without any GPU it is not looked at.
        param_dtype (str, optional): Name of the dtype of torch in which attention
            and MLP are gathered. 'bfloat16' goes with
            :class:`cmae_mm.AutocastOptimWrapper`, which would round these
            parameters anyway; None gathers float32. What a process keeps, and sums
            of gradients, are float32. Defaults to 'bfloat16'.
    """

    def __init__(
        self,
        module: CMAE,
        device_id: int | torch.device | None = None,
        param_dtype: str | None = 'bfloat16',
    ) -> None:
        # FSDP looks for a GPU by itself, and finds no CPU.
        device = device_id if torch.cuda.is_available() else torch.device('cpu')
        outline = outline_of(module)
        rounded = param_dtype and MixedPrecision(
            param_dtype=getattr(torch, param_dtype),
            reduce_dtype=torch.float32,
            cast_forward_inputs=False,  # autocast knows better
        )
        shard = partial(
            FullyShardedDataParallel, device_id=device, use_orig_params=True
        )
        for parent, name in list(matrices_of(module)):
            part = getattr(parent, name)
            setattr(parent, name, shard(part, mixed_precision=rounded))
        for parent, name in list(remainders_of(module)):
            setattr(parent, name, shard(getattr(parent, name)))
        super().__init__(module, device_id=device)
        self._outline = [outline]  # in a list it is no part of this module
        module.updates_target = False

    def forward(self, *args, mode: str = 'tensor', **kwargs):
        """See :meth:`CMAE.forward`."""
        # Before the model runs: it gathers on streams of their own, which wait for
        # what happened until then.
        if mode == 'loss' and self.module.contrastive_weight:
            self.module.update_target()
        return super().forward(*args, mode=mode, **kwargs)

    @property
    def outline(self) -> CMAE:
        """The whole model without its numbers, for looking at names and shapes."""
        return self._outline[0]


def outline_of(model: nn.Module) -> nn.Module:
    """A copy of a model on the meta device."""
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(t): t.detach().to('meta') for t in tensors})


def matrices_of(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Attention and MLP of every transformer block: parent, and name in it."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, (MultiheadAttention, FFN)):
                yield parent, name


def remainders_of(model: CMAE) -> Iterator[tuple[nn.Module, str]]:
    """What else must be cut alike in both branches: parent, and name in it.

    The final norm of the online encoder, which the released recipe's target has not,
    is cut apart from the rest of the encoder: with it, the cuts would be elsewhere.
    """
    if not model.contrastive_weight:
        return
    for online in ('backbone', 'projector'):
        target = f'target_{online}'
        common = dict(getattr(model, target).named_children())
        for name, _ in getattr(model, online).named_children():
            if name not in common:
                yield getattr(model, online), name
        yield model, online
        yield model, target
