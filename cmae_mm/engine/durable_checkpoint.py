# temporary stand-in until the durable hook is merged
from mmengine.hooks import CheckpointHook
from cmae_mm.registry import HOOKS
from pathlib import Path


@HOOKS.register_module()
class DurableCheckpointHook(CheckpointHook):
    def save_now(self, runner):
        runner.call_hook('prepare_checkpoint')
        n = runner.iter + 1
        runner.save_checkpoint(runner.work_dir, f'iter_{n}.pth', by_epoch=False)
        Path(runner.work_dir, 'last_checkpoint').write_text(
            f'{runner.work_dir}/iter_{n}.pth'
        )
