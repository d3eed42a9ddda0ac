"""``cmae detect``: Mask R-CNN on objects of one's own."""

from pathlib import Path

import click

from .options import check_out, labelled_training


@click.command()
@labelled_training
@click.option(
    '--epochs',
    type=click.IntRange(min=1),
    help='Length of the training. Default: that of the packaged recipe, at least 600 '
    'steps.',
)
@click.option(
    '--size',
    type=click.IntRange(min=32),
    help='Longer side of the images in training and test, pixels, a multiple of 32. '
    'Default: that of the largest image, at most that of the recipe.',
)
def command(
    ckpt: Path,
    data: Path,
    out: Path,
    epochs: int | None,
    batch_size: int | None,
    size: int | None,
    config_only: bool,
) -> None:
    """Train Mask R-CNN on the objects of DATA, from the encoder of CKPT, and test it.

    CKPT is a checkpoint, or the folder of a pre-training, of which the newest valid one
    is taken. DATA holds images in train and val (or images/train and images/val), and
    annotations/instances_train.json and instances_val.json in COCO's format. Objects
    without outlines make it a Faster R-CNN, boxes only. Needs mmdetection.

    The same command again goes on where it was stopped.

    Example: cmae detect work_dirs/pretrain data/ships --out work_dirs/ships
    """
    import torch

    from cmae_mm.transfer import mask_rcnn
    from cmae_mm.transfer.coco_data import read_coco
    from cmae_mm.transfer.encoder import read_encoder
    from cmae_mm.transfer.running import Plan, carry_out, need_library

    from .tables import precision_table

    need_library('mmdet')
    check_out(out)
    objects = read_coco(data)
    encoder = read_encoder(ckpt)
    recipe = mask_rcnn.choose_recipe(encoder)
    batch_size = batch_size or recipe.each
    epochs = epochs or mask_rcnn.choose_epochs(
        recipe, objects.images['train'], batch_size
    )
    size = size or mask_rcnn.choose_side(recipe, objects.side)
    cfg, rate = mask_rcnn.compose_mask_rcnn(
        encoder, objects, epochs, batch_size, size, torch.cuda.is_available()
    )

    click.echo(f'Encoder: {encoder}')
    click.echo(
        f'Data: {objects.images["train"]} images with objects to learn from, '
        f'{objects.images["val"]} to test on; {len(objects.classes)} classes.'
    )
    if not objects.masks:
        click.echo(
            f'{objects.without_mask} objects have no segmentation: boxes only, by a '
            'Faster R-CNN.'
        )
    click.echo(f'Recipe: configs/{recipe.config}; {epochs} epochs, {size} px.')
    click.echo(f'{rate}.')
    plan = Plan(
        cfg,
        out,
        library='mmdet',
        identity=dict(
            command='detect',
            checkpoint=str(encoder.checkpoint),
            data=str(objects.root),
            classes=len(objects.classes),
            masks=objects.masks,
            epochs=epochs,
            batch_size=batch_size,
            size=size,
        ),
    )
    metrics = carry_out(plan, click.echo, config_only)
    if metrics is not None:
        precision_table(metrics, objects.masks)
        click.echo(f'Pictures: {out / "examples.png"}')
