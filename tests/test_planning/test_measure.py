"""Steps that are really trained, in processes of their own."""

import pytest
import torch
from mmengine.config import Config

from cmae_mm.planning import measured_run
from cmae_mm.planning.measure import OutOfMemory, measure_step
from cmae_mm.registry import MODELS


@pytest.fixture
def config(tiny_cfg):
    """A pre-training of the toy model, with a data set that is not there."""
    return Config(
        dict(
            default_scope='mmpretrain',
            custom_imports=dict(imports=['cmae_mm'], allow_failed_imports=False),
            model=tiny_cfg,
            train_dataloader=dict(
                batch_size=4, dataset=dict(type='No', data_root='no')
            ),
            train_cfg=dict(type='cmae_mm.EndlessEpochLoop', max_epochs=7),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        )
    )


def here(config, folder, batch_size=4, steps=2):
    return measured_run.measure_here(config.to_dict(), batch_size, steps, str(folder))


@pytest.mark.slow
def test_a_step_has_a_price(config):
    cost = measure_step(config, 4, steps=1)
    assert 0 < cost.seconds < 60
    assert cost.peak_bytes > 0 and cost.device in ('cpu', 'cuda')
    assert config.train_cfg.max_epochs == 7  # not changed


def test_the_checkpoint_is_the_size_of_weights_and_moments(config, tmp_path):
    """Four bytes a number: the weights, and two moments of what is trained."""
    found = here(config, tmp_path)['state_bytes']
    model = MODELS.build(config.model)
    trained = [p.numel() for p in model.parameters() if p.requires_grad]
    numbers = sum(v.numel() for v in model.state_dict().values()) + 2 * sum(trained)
    assert 4 * numbers < found < 4 * numbers + 1000 * (len(model.state_dict()) * 3)


def test_every_step_counts_once(config, tmp_path, monkeypatch):
    seen = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        'step',
        lambda *args, **kw: seen.append(1) or step(*args, **kw),
    )
    here(config, tmp_path, steps=2)
    assert len(seen) == 3  # one to warm up


def test_micro_batches_step_once_for_a_batch(config, tmp_path, monkeypatch):
    sizes = []
    forward = measured_run.CMAE.loss
    monkeypatch.setattr(
        measured_run.CMAE,
        'loss',
        lambda model, views, *rest: (
            sizes.append(len(views[0])) or forward(model, views, *rest)
        ),
    )
    config.train_cfg.update(type='cmae_mm.MicroBatchTrainLoop', micro_batches=2)
    here(config, tmp_path, batch_size=8, steps=1)
    assert sizes == [4] * 4


def test_mae_gets_one_view(config, tmp_path):
    config.model.contrastive_weight = 0.0
    assert (
        measured_run.bare_run(
            config.to_dict(), 4, 1, str(tmp_path)
        ).train_dataloader.dataset.views
        == 1
    )


def test_another_model_is_refused(config, tmp_path):
    config.model = dict(type='ImageClassifier', backbone=dict(type='LeNet5'))
    with pytest.raises(ValueError, match=r'ImageClassifier.*cmae_mm\.CMAE'):
        here(config, tmp_path)


@pytest.mark.parametrize('error', [MemoryError(), torch.cuda.OutOfMemoryError('full')])
def test_memory_that_ran_out_is_told_from_other_failures(error):
    answer = measured_run.say(error)
    assert answer['memory'] and 'MicroBatchTrainLoop' in answer['error']
    assert not measured_run.say(ValueError('else'))['memory']


def test_a_killed_process_is_a_matter_of_memory(config, monkeypatch):
    from types import SimpleNamespace

    killed = SimpleNamespace(returncode=-9, stdout='', stderr='')
    monkeypatch.setattr('subprocess.run', lambda *args, **kw: killed)
    with pytest.raises(OutOfMemory, match='A batch of 64 images does not fit'):
        measure_step(config, 64)


@pytest.mark.parametrize('numbers', [dict(batch_size=1), dict(batch_size=4, steps=0)])
def test_numbers_out_of_range_are_refused(config, numbers):
    with pytest.raises(ValueError, match='batch_size='):
        measure_step(config, **numbers)
