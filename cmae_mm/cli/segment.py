"""``cmae segment``: UperNet on label maps of one's own."""

from pathlib import Path

import click

from .options import check_out, labelled_training


@click.command()
@labelled_training
@click.option(
    '--iters',
    type=click.IntRange(min=10),
    help='Length of the training. Default: as many passes over the images as in the '
    'packaged recipe.',
)
@click.option(
    '--crop',
    type=click.IntRange(min=1),
    help='Side of the crops in pixels. Default: the shorter side of the images, at '
    'most that of the recipe.',
)
@click.option(
    '--reduce-zero-label',
    is_flag=True,
    help='Label 0 is no class and is ignored, as in ADE20K.',
)
def command(
    ckpt: Path,
    data: Path,
    out: Path,
    iters: int | None,
    batch_size: int | None,
    crop: int | None,
    reduce_zero_label: bool,
    config_only: bool,
) -> None:
    """Train UperNet on the label maps of DATA, from the encoder of CKPT, and test it.

    CKPT is a checkpoint, or the folder of a pre-training, of which the newest valid one
    is taken. DATA holds images/{training,validation} and
    annotations/{training,validation}, as ADE20K does (or train and val), and, if you
    like, classes.txt with one name per line. Needs mmsegmentation.

    The same command again goes on where it was stopped.

    Example: cmae segment work_dirs/pretrain data/street --out work_dirs/street
    """
    import torch

    from cmae_mm.transfer import upernet
    from cmae_mm.transfer.encoder import read_encoder
    from cmae_mm.transfer.label_maps import read_label_maps
    from cmae_mm.transfer.running import Plan, carry_out, need_library

    from .tables import class_table

    need_library('mmseg')
    check_out(out)
    click.echo(f'Reading the label maps of {data}.')
    maps = read_label_maps(data, reduce_zero_label)
    encoder = read_encoder(ckpt)
    recipe = upernet.choose_recipe(encoder)
    batch_size = batch_size or recipe.each
    iters = iters or upernet.choose_iters(recipe, maps.images['train'], batch_size)
    crop = crop or upernet.choose_crop(recipe, maps.side, encoder.patch)
    on_gpu = torch.cuda.is_available()
    cfg, rate = upernet.compose_upernet(encoder, maps, iters, batch_size, crop, on_gpu)

    source = 'classes.txt' if maps.named else 'as the largest label has it'
    click.echo(f'Encoder: {encoder}')
    click.echo(
        f'Data: {maps.images["train"]} images to learn from, {maps.images["val"]} to '
        f'test on; {len(maps.classes)} classes ({source}).'
    )
    click.echo(
        f'Recipe: configs/{recipe.config}; {iters} iterations, crops of {crop} px.'
    )
    click.echo(f'{rate}.')
    plan = Plan(
        cfg,
        out,
        library='mmseg',
        identity=dict(
            command='segment',
            checkpoint=str(encoder.checkpoint),
            data=str(maps.root),
            classes=len(maps.classes),
            reduce_zero_label=reduce_zero_label,
            iters=iters,
            batch_size=batch_size,
            crop=crop,
        ),
    )
    metrics = carry_out(plan, click.echo, config_only)
    if metrics is not None:
        class_table(metrics, maps.classes)
        click.echo(
            f'mIoU {metrics["mIoU"]:.2f} %, pixels right {metrics["aAcc"]:.2f} %. '
            f'Pictures: {out / "examples.png"}'
        )
