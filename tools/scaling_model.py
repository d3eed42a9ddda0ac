"""Arithmetic of training on many GPUs: what a step costs, and what bounds it.

Everything here is derived: work and parameters are counted on the models of our
configs, the machine is assumed. Nothing is measured.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from benchmark_timing import count_flops
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.batchnorm import _BatchNorm

from cmae_mm.engine.sharding import matrices_of, remainders_of


def assumed(default: float, text: str) -> float:
    """A number of the machine, with what it stands for."""
    return field(default=default, metadata={'help': text})


@dataclass(frozen=True)
class Machine:
    """The GPUs and what lies between them. The defaults are assumptions."""

    peak_tflops: float = assumed(990, 'of a GPU in dense bfloat16 (data sheet, H100)')
    mfu: float = assumed(0.35, 'share of the peak that the model reaches (a guess)')
    memory_gb: float = assumed(80, 'of a GPU')
    memory_gb_s: float = assumed(3350, 'speed of its memory (data sheet, H100)')
    gpus_per_node: int = assumed(8, 'GPUs that one machine holds')
    link_gb_s: float = assumed(450, 'between GPUs of a node, each way (NVLink 4)')
    network_gb_s: float = assumed(400, 'out of a node, each way (8 x 400 Gbit/s)')
    start_us: float = assumed(20, 'until one exchange between GPUs starts (a guess)')
    hop_us: float = assumed(5, 'from node to node, for each (a guess)')
    activation_bytes: float = assumed(
        34, 'kept per token, channel and block for the backward pass (a guess)'
    )
    smallest_batch: int = assumed(32, 'images that fill a GPU (a guess)')
    cores_per_gpu: int = assumed(14, 'processor cores that prepare images')
    images_per_core: float = assumed(
        435, 'prepared per second (docs/benchmarks.md; another processor, another rate)'
    )

    def bandwidth(self, gpus: int) -> float:
        """Bytes per second of a ring through all GPUs; every node is left once."""
        inside = gpus <= self.gpus_per_node
        return 1e9 * (
            self.link_gb_s if inside else min(self.link_gb_s, self.network_gb_s)
        )

    def latency(self, gpus: int, ring: bool = False) -> float:
        """Seconds of an exchange of nothing, along a tree or a ring of nodes."""
        nodes = math.ceil(gpus / self.gpus_per_node)
        hops = nodes - 1 if ring else math.ceil(math.log2(nodes))
        return 1e-6 * (self.start_us + self.hop_us * hops) * (gpus > 1)


@dataclass(frozen=True)
class Work:
    """What a model asks of its machine.

    Attributes:
        trainable (int): Parameters that are trained.
        target (int): Parameters of the momentum copy.
        online_matrices (int): Trained parameters that FSDP gathers in bfloat16.
        target_matrices (int): Those of the momentum copy.
        online_parts (int): Parts of the trained model that FSDP gathers one by one.
        target_parts (int): Those of the momentum copy.
        flops (float): Of an image and a step.
        backward (float): Share of them that the backward pass has, in [0, 1].
        kept (float): Tokens times channels that blocks keep for the backward pass,
            per image.
        key_width (int): Numbers of a target projection.
        norms (int): Exchanges of BatchNorm over all GPUs in a step.
    """

    trainable: int
    target: int
    online_matrices: int
    target_matrices: int
    online_parts: int
    target_parts: int
    flops: float
    backward: float
    kept: float
    key_width: int
    norms: int


def count_work(config: Path) -> Work:
    """Count a pre-training config's model, at full size, without its numbers."""
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    with FakeTensorMode():
        model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
        size = model.backbone.img_size
        views = [torch.randn(2, model.backbone.in_channels, *size) for _ in range(2)]
        kept = count_kept(model, views) / 2
        flops = count_flops(lambda: total_loss(model, views)) / 2
        forward = count_flops(lambda: total_loss(model, views), backward=False) / 2
    target = [*model.target_backbone.parameters(), *model.target_projector.parameters()]
    matrices = [getattr(parent, name) for parent, name in matrices_of(model)]
    others = [getattr(parent, name) for parent, name in remainders_of(model)]
    of_target = {*model.target_backbone.modules(), *model.target_projector.modules()}
    of_target = {part: part in of_target for part in [*matrices, *others]}
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    return Work(
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        target=sum(p.numel() for p in target),
        online_matrices=size_of(part for part in matrices if not of_target[part]),
        target_matrices=size_of(part for part in matrices if of_target[part]),
        online_parts=sum(not there for there in of_target.values()) + 1,  # the root
        target_parts=sum(of_target.values()),
        flops=flops,
        backward=1 - forward / flops,
        kept=kept,
        key_width=cfg.model.projector.out_channels,
        norms=sum(1 + norm.weight.requires_grad for norm in norms),
    )


def size_of(modules: Iterable[nn.Module]) -> int:
    """Parameters of several modules."""
    return sum(p.numel() for module in modules for p in module.parameters())


def total_loss(model: nn.Module, views: list[torch.Tensor]) -> torch.Tensor:
    """All losses of a batch."""
    return sum(value for name, value in model.loss(views, []).items() if 'loss' in name)


def count_kept(model: nn.Module, views: list[torch.Tensor]) -> float:
    """Numbers that leave the blocks which will have a backward pass."""
    kept = []

    def look(block: nn.Module, args: tuple, out: torch.Tensor) -> None:
        if out.requires_grad:
            kept.append(out.numel())

    blocks = [m for m in model.modules() if isinstance(m, TransformerEncoderLayer)]
    watches = [block.register_forward_hook(look) for block in blocks]
    total_loss(model, views)
    for watch in watches:
        watch.remove()
    return sum(kept)


@dataclass(frozen=True)
class Step:
    """A training step of one model on so many GPUs.

    Args:
        work (Work): Of the model.
        machine (Machine): What it runs on.
        gpus (int): How many of them, 1 or more.
        batch (int): Images of a step over all GPUs; a multiple of ``gpus``.
        sharded (bool): FSDP instead of DDP.
    """

    work: Work
    machine: Machine
    gpus: int
    batch: int
    sharded: bool = False

    @property
    def images(self) -> int:
        """Images per GPU."""
        return self.batch // self.gpus

    @property
    def states(self) -> float:
        """Bytes of a GPU for float32 weights, gradients, AdamW and momentum copy."""
        work = self.work
        whole = 16 * work.trainable + 4 * work.target
        if not self.sharded:
            return whole
        # What is not attention or MLP of a block stays gathered for long.
        matrices = work.online_matrices + work.target_matrices
        gathered = 4 * (work.trainable + work.target - matrices)
        return whole / self.gpus + gathered

    @property
    def parts(self) -> int:
        """Equal micro-batches that the images of a GPU must make; 0: none will do.

        A tenth of the memory is left alone. FSDP takes no micro-batches here.
        """
        room = 0.9e9 * self.machine.memory_gb - self.states
        fit = room / (self.machine.activation_bytes * self.work.kept)
        most = 1 if self.sharded else self.images
        choices = (n for n in range(1, most + 1) if self.images % n == 0)
        return next((n for n in choices if self.images / n <= fit), 0)

    @property
    def memory(self) -> float:
        """Bytes of a GPU with the images of one part."""
        images = self.images // max(self.parts, 1)
        return self.states + images * self.machine.activation_bytes * self.work.kept

    @property
    def sent(self) -> float:
        """Bytes that each GPU sends for weights and gradients."""
        work, share = self.work, (self.gpus - 1) / self.gpus
        if not self.sharded:
            return share * 2 * 4 * work.trainable
        online = 4 * work.trainable - 2 * work.online_matrices
        target = 4 * work.target - 2 * work.target_matrices
        # Gathered forward and again backward, the target once; gradients in float32.
        return share * (2 * online + target + 4 * work.trainable)

    @property
    def exchanges(self) -> int:
        """How often weights or gradients are sent; gradients of DDP in 25 MiB."""
        if self.sharded:
            return 3 * self.work.online_parts + self.work.target_parts
        return math.ceil(4 * self.work.trainable / 25 / 2**20)

    @property
    def keys(self) -> float:
        """Bytes of target projections that each GPU sends on."""
        return (self.batch - self.images) * 4 * self.work.key_width

    @property
    def compute(self) -> float:
        """Seconds of forward and backward pass; few images take as long as some."""
        filled = max(self.images, self.machine.smallest_batch)
        return self.ideal * filled / self.images

    @property
    def ideal(self) -> float:
        """Seconds if GPUs were always full and needed nothing from each other."""
        speed = 1e12 * self.machine.peak_tflops * self.machine.mfu
        return self.images * self.work.flops / speed

    @property
    def update(self) -> float:
        """Seconds in which AdamW and the momentum copy go through the memory."""
        share = self.gpus if self.sharded else 1
        touched = 28 * self.work.trainable + 12 * self.work.target
        return touched / share / (1e9 * self.machine.memory_gb_s)

    @property
    def exposed(self) -> float:
        """Seconds of communication that no computation hides.

        DDP hides behind the backward pass of the last part, FSDP behind all of it;
        BatchNorm waits.
        """
        machine, gpus = self.machine, self.gpus
        # NCCL sums along trees, but gathers and scatters along rings.
        time = self.exchanges * machine.latency(gpus, ring=self.sharded)
        time += (self.sent + self.keys) / machine.bandwidth(gpus)
        hidden = self.compute / max(self.parts, 1)
        hidden *= 1 if self.sharded else self.work.backward
        return max(0.0, time - hidden) + self.work.norms * machine.latency(gpus)

    @property
    def cores(self) -> float:
        """Processor cores per GPU that keep up with the rest."""
        seconds = self.compute + self.update + self.exposed
        return self.images / seconds / self.machine.images_per_core

    @property
    def seconds(self) -> float:
        """Of a step."""
        seconds = self.compute + self.update + self.exposed
        return seconds * max(1.0, self.cores / self.machine.cores_per_gpu)

    @property
    def efficiency(self) -> float:
        """Speed of a GPU against one that is always full and alone, in [0, 1]."""
        return self.ideal / self.seconds

    @property
    def bound(self) -> str:
        """What would have to be better for this step to be faster."""
        if not self.parts:
            return 'memory'
        if self.cores > self.machine.cores_per_gpu:
            return 'data'
        if self.exposed > max(0.1 * self.seconds, self.compute - self.ideal):
            return 'network'
        if self.images < self.machine.smallest_batch:
            return 'batch'
        return 'compute'
