"""The arithmetic of docs/scaling.md."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

import scaling  # noqa: E402
from scaling_model import Machine, Step, Work, count_work  # noqa: E402

BASE = ROOT / scaling.CONFIG.format(scaling.ARCHS['b'])
EASY = Work(
    trainable=1000,
    target=500,
    online_matrices=800,
    target_matrices=400,
    online_parts=3,
    target_parts=2,
    flops=1e9,
    backward=0.5,
    kept=1e6,
    key_width=4,
    norms=5,
)
# One FLOP per picosecond, one byte per nanosecond.
ROUND = Machine(
    peak_tflops=2,
    mfu=0.5,
    memory_gb_s=1,
    link_gb_s=1,
    network_gb_s=1,
    start_us=0,
    hop_us=0,
    smallest_batch=1,
    cores_per_gpu=1000,
)


def block(tokens, width):
    """Forward FLOPs of a transformer block."""
    return 24 * tokens * width**2 + 4 * tokens**2 * width


def test_work_of_vit_base_is_that_of_the_formulas():
    """68 of 196 patches are visible; three times forward is forward and backward."""
    work = count_work(BASE)
    encoder = 3 * 12 * block(69, 768) + 2 * 2 * 68 * 768 * 768
    target = 12 * block(197, 768) + 2 * 196 * 768 * 768
    pixels = 2 * 69 * 768 * 512 + 8 * block(197, 512) + 2 * 128 * 512 * 768
    features = 2 * 69 * 768 * 512 + 2 * block(197, 512) + 2 * 512 * 768
    projector = 2 * (768 * 1536 + 1536 * 256)
    predictor = 2 * (256 * 1536 + 1536 * 256)
    trained = 3 * (pixels + features + projector + predictor)
    expected = encoder + target + trained + projector
    assert work.flops == pytest.approx(expected, rel=1e-3)
    forward = encoder / 3 + target + trained / 3 + projector
    assert work.backward == pytest.approx(1 - forward / expected, abs=1e-3)
    assert work.kept == 12 * 69 * 768 + 10 * 197 * 512
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(BASE).model)
    assert work.trainable == sum(
        p.numel() for p in model.parameters() if p.requires_grad
    )
    assert work.target == sum(
        p.numel() for name, p in model.named_parameters() if name.startswith('target_')
    )
    matrices = 12 * (12 * 768**2 + 9 * 768)
    assert work.target_matrices == matrices
    assert work.online_matrices == matrices + 10 * (12 * 512**2 + 9 * 512)
    assert (work.online_parts, work.target_parts) == (2 * 22 + 4, 2 * 12 + 2)
    assert (work.key_width, work.norms) == (256, 5)


def test_the_document_shows_what_the_tool_prints():
    lines = scaling.tables(scaling.parse_args(['--archs', 'b'])).splitlines()
    document = (ROOT / 'docs/scaling.md').read_text().splitlines()
    assert [line for line in lines if line not in document] == []
    assert len(lines) > 8


def test_one_gpu_waits_for_nobody():
    step = Step(EASY, ROUND, gpus=1, batch=8)
    assert (step.sent, step.keys, step.exposed) == (0, 0, 0)
    assert step.compute == pytest.approx(8e-3)
    assert step.update == pytest.approx((28 * 1000 + 12 * 500) * 1e-9)
    assert step.efficiency == pytest.approx(step.compute / step.seconds)


def test_what_ddp_sends_and_keeps():
    step = Step(EASY, ROUND, gpus=4, batch=8)
    assert step.sent == 3 / 4 * 8 * 1000  # a ring: every gradient out and back
    assert step.keys == 6 * 4 * 4
    assert step.states == 16 * 1000 + 4 * 500
    assert step.memory == step.states + 2 * 34 * 1e6
    slow = replace(ROUND, link_gb_s=1e-3)  # a byte per microsecond
    step = Step(EASY, slow, gpus=4, batch=8)
    assert step.exposed == pytest.approx((6000 + 96) * 1e-6 - 0.5 * 2e-3)


def test_what_fsdp_sends_and_keeps():
    step = Step(EASY, ROUND, gpus=4, batch=8, sharded=True)
    online, target = 2 * 800 + 4 * 200, 2 * 400 + 4 * 100
    assert step.sent == 3 / 4 * (2 * online + target + 4 * 1000)
    assert step.states == (16 * 1000 + 4 * 500) / 4 + 4 * (200 + 100)
    assert step.exchanges == 3 * 3 + 2


def test_far_nodes_answer_late():
    machine = replace(ROUND, start_us=10, hop_us=1, gpus_per_node=2)
    assert machine.latency(1) == 0
    assert machine.latency(2) == pytest.approx(10e-6)
    assert machine.latency(16) == pytest.approx(13e-6)
    assert machine.latency(16, ring=True) == pytest.approx(17e-6)


def test_large_batches_are_cut_until_they_fit():
    machine = replace(ROUND, memory_gb=1)
    step = Step(EASY, machine, gpus=1, batch=64)
    assert step.parts == 4  # 26 images of 34 MB in 0.9 GB; 3 would be uneven
    assert step.memory == step.states + 16 * 34e6
    assert Step(EASY, machine, gpus=1, batch=64, sharded=True).bound == 'memory'
    assert Step(EASY, machine, gpus=4, batch=64, sharded=True).parts == 1


@pytest.mark.parametrize(
    ('change', 'bound'),
    [
        ({}, 'compute'),
        (dict(link_gb_s=1e-6), 'network'),
        (dict(smallest_batch=32), 'batch'),
        (dict(cores_per_gpu=1), 'data'),
        (dict(memory_gb=1e-2), 'memory'),
    ],
)
def test_what_bounds_a_step(change, bound):
    step = Step(EASY, replace(ROUND, **change), gpus=4, batch=8)
    assert step.bound == bound
    assert (step.efficiency > 0.9) == (bound in ('compute', 'memory'))


def test_too_few_cores_make_the_gpus_wait():
    step = Step(EASY, replace(ROUND, cores_per_gpu=1), gpus=4, batch=8)
    assert step.seconds == pytest.approx(2 / 435)


def test_gpus_must_share_the_batch_evenly(capsys):
    with pytest.raises(SystemExit):
        scaling.parse_args(['--gpus', '3'])
    assert '4096 cannot be dealt to 3 GPUs' in capsys.readouterr().err
