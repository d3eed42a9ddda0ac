"""``cmae export``: a trained encoder for use without this package."""

from pathlib import Path

import click

from .options import PATH, heads, matter_of_usage

# Those of cmae_mm.bridge.export, whose import takes seconds.
TARGETS = ('timm', 'hf', 'torch', 'onnx', 'safetensors')


@click.command()
@click.argument('ckpt', type=PATH)
@click.option(
    '--to',
    'target',
    required=True,
    type=click.Choice(TARGETS),
    help='torch: a program of torch.export.',
)
@click.option(
    '--out',
    required=True,
    type=PATH,
    help='timm: .pth or .safetensors; hf: a folder; torch: .pt2; onnx: .onnx; '
    'safetensors: .safetensors.',
)
@heads
@click.option('--force', is_flag=True, help='Replace what is there.')
@matter_of_usage
def command(ckpt: Path, target: str, out: Path, heads: int | None, force: bool) -> None:
    """Write the encoder in CKPT for use elsewhere, and run what was written.

    CKPT is a checkpoint, or the folder of a run. The result is loaded by its own
    library and compared with the source on random images; a difference is an error,
    and nothing is left. Images are normalised outside; mean and std lie in the file.

    Example: cmae export work_dirs/my_run --to onnx --out encoder.onnx
    """
    from cmae_mm.bridge import describe
    from cmae_mm.bridge.export import export

    done = export(ckpt, out, target, heads=heads, force=force)
    click.echo('\n'.join([*describe(done), f'written to {out}']))
