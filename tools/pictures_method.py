"""The figure of the method: what goes where, in which shape.

Its numbers are read off the model and the pipeline that the config builds.
"""

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from pictures_canvas import BLUE, INK, ORANGE, Sheet
from pictures_views import Views, make_views, read_recipe

WIDTH, HEIGHT = 830, 1282
# Three columns of boxes: pixels, features, momentum branch.
BOX = 232
A, B, C = 24, 284, 574  # left edges
A_MID, B_MID, C_MID = (left + BOX / 2 for left in (A, B, C))
VIEW = 168  # side of a view as shown


def read_numbers(cfg: Config) -> dict[str, str]:
    """Sizes and shapes as the figure says them."""
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    encoder, pixel = model.backbone, model.pixel_decoder
    patches, visible = pixel.num_patches, encoder.masking.num_visible
    side, patch = encoder.img_size[0], encoder.patch_size
    crop, views = cfg.train_dataloader.dataset.pipeline[:2]
    head = model.contrastive_head

    channels = encoder.in_channels
    return dict(
        master=f'{channels} × {crop.scale} × {crop.scale}',
        view=f'B × {channels} × {side} × {side}',
        shift=f'{views.shift_range[0]} to {views.shift_range[1] - 1} pixels',
        cells=f'{cfg.model.backbone.block_size} × {cfg.model.backbone.block_size}',
        ratio=f'{cfg.model.backbone.mask_ratio:.0%}'.replace('%', ' %'),
        visible=str(visible),
        masked=str(patches - visible),
        patches=str(patches),
        encoder=f'{len(encoder.layers)} blocks, width {encoder.embed_dims}',
        latent=f'B × {visible + 1} × {encoder.embed_dims}',
        whole=f'B × {patches + 1} × {encoder.embed_dims}',
        rebuilt=f'B × {patches - visible} × {channels * patch**2}',
        mean=f'B × {encoder.embed_dims}',
        pixel=decoder_size(pixel),
        feature=decoder_size(model.feature_decoder),
        projector=' – '.join(widths(model.projector)),
        predictor=' – '.join(widths(head.predictor)),
        projection=f'B × {widths(head.predictor)[-1]}',
        temperature=f'{head.temperature:g}',
        weight=f'{model.contrastive_weight:g}',
        decay=f'{model.ema_decay:g}',
    )


def widths(neck: torch.nn.Module) -> list[str]:
    """Widths from the input of the first linear layer to the output of the last."""
    linear = [m for m in neck.modules() if isinstance(m, torch.nn.Linear)]
    return [str(linear[0].in_features), *(str(m.out_features) for m in linear)]


def decoder_size(decoder: torch.nn.Module) -> str:
    """Depth and width in words."""
    width = decoder.decoder_embed.out_features
    return f'{len(decoder.decoder_blocks)} blocks, width {width}'


def draw_method() -> Sheet:
    """Draw the figure of the method."""
    cfg = read_recipe()
    numbers = read_numbers(cfg)
    sheet = Sheet(WIDTH, HEIGHT)
    views = make_views(cfg)
    draw_inputs(sheet, numbers, views)
    draw_encoders(sheet, numbers)
    draw_decoders(sheet, numbers)
    draw_losses(sheet, numbers, views)
    draw_legend(sheet)
    return sheet


def draw_inputs(sheet: Sheet, numbers: dict[str, str], views: Views) -> None:
    """The master crop, the two views, and what the mask leaves of one."""
    master = VIEW * len(views.master) / len(views.online)
    left, top, view_top = B_MID - master / 2, 24, 126
    scale = VIEW / len(views.online)
    down, right = (scale * shift for shift in views.offset)
    sheet.arrow((left, 80), (A_MID, 80), (A_MID, view_top - 4), color=BLUE)
    sheet.arrow((left + master, 80), (C_MID, 80), (C_MID, view_top - 4), color=ORANGE)
    sheet.words(A_MID, 57, 'top-left corner', color=BLUE)
    sheet.words(C_MID + 5, 42, 'shifted by ' + numbers['shift'], color=ORANGE, size=17)
    sheet.words(C_MID + 5, 62, 'each way; new colours', color=ORANGE, size=17)
    sheet.picture(left, top, master, views.master)
    sheet.frame(left, top, VIEW, BLUE)
    sheet.frame(left + right, top + down, VIEW, ORANGE, dashed=True)
    name(sheet, B_MID, top + master + 20, 'Master crop', numbers['master'])

    sheet.picture(A_MID - VIEW / 2, view_top, VIEW, views.online, BLUE)
    name(sheet, A_MID, view_top + VIEW + 20, 'Online view', numbers['view'])
    sheet.picture(C_MID - VIEW / 2, view_top, VIEW, views.target, ORANGE)
    name(sheet, C_MID, view_top + VIEW + 20, 'Target view', numbers['view'])

    sheet.arrow((A_MID, 355), (A_MID, 380), color=BLUE)
    sheet.picture(A_MID - VIEW / 2, 384, VIEW, views.visible, BLUE)
    text = (
        f'{numbers["ratio"]} of the patches\nmasked, in blocks\n'
        f'of {numbers["cells"]}:\n{numbers["visible"]} of {numbers["patches"]} stay'
    )
    sheet.words(B - 26, 420, 'Mask', 20, weight='bold', ha='left')
    sheet.words(B - 26, 484, text, ha='left')
    sheet.arrow((A_MID, 552), (A_MID, 590), color=BLUE)
    sheet.arrow((C_MID, 355), (C_MID, 590), color=ORANGE)
    sheet.words(C_MID + 14, 468, f'all {numbers["patches"]}\npatches', ha='left')


def draw_encoders(sheet: Sheet, numbers: dict[str, str]) -> None:
    """The encoder that is kept, and the one that follows it."""
    sheet.box(A, 594, B + BOX - A, 'Encoder (ViT-B)', numbers['encoder'], 'kept')
    sheet.box(C, 594, BOX, 'Momentum encoder', numbers['encoder'], 'target')
    follow(sheet, 630, numbers['decay'])
    filled = f'{numbers["latent"]}\n+ {numbers["masked"]} mask tokens'
    flow(sheet, A, (666, 740), filled)
    flow(sheet, B, (666, 740), filled)
    flow(sheet, C, (666, 740), numbers['whole'], ORANGE)


def draw_decoders(sheet: Sheet, numbers: dict[str, str]) -> None:
    """Both decoders, and the heads on the mean feature."""
    sheet.box(A, 740, BOX, 'Pixel decoder', numbers['pixel'], 'online')
    sheet.box(B, 740, BOX, 'Feature decoder', numbers['feature'], 'online')
    patches = f'of the {numbers["patches"]} patch tokens'
    sheet.box(C, 740, BOX, 'Mean', patches, 'target')
    flow(sheet, B, (812, 866), f'mean: {numbers["mean"]}')
    flow(sheet, C, (812, 866), numbers['mean'], ORANGE)
    sheet.box(B, 866, BOX, 'Projector', numbers['projector'], 'online')
    sheet.box(C, 866, BOX, 'Projector', numbers['projector'], 'target')
    follow(sheet, 902, numbers['decay'])
    flow(sheet, B, (938, 982), numbers['projection'])
    sheet.box(B, 982, BOX, 'Predictor', numbers['predictor'], 'online')


def draw_losses(sheet: Sheet, numbers: dict[str, str], views: Views) -> None:
    """What the two losses compare, and their sum."""
    side, left = 150, A + 66
    flow(sheet, A, (812, 1100), numbers['rebuilt'], at=837)
    sheet.picture(left, 862, side, views.wanted)
    sheet.words(left + side / 2, 1033, 'wanted: the masked', 16)
    sheet.words(left + side / 2, 1053, 'patches, normalised', 16)
    sheet.arrow((left + side / 2, 1068), (left + side / 2, 1096))
    sheet.box(A, 1100, BOX, '$L_r$: squared error', 'on masked patches', 'loss')

    projection = numbers['projection']
    flow(sheet, B, (1054, 1100), f'queries: {projection}')
    keys = f'{projection}\n\nkeys of all GPUs:\n{projection.replace("B", "G")}'
    flow(sheet, C, (938, 1100), keys, ORANGE)
    between = f'each query among all keys, τ = {numbers["temperature"]}'
    sheet.box(B, 1100, C + BOX - B, '$L_c$: InfoNCE', between, 'loss')
    total = f'Loss = $L_r$ + {numbers["weight"]} · $L_c$'
    sheet.words(WIDTH / 2, 1204, total, 20, weight='bold')


def draw_legend(sheet: Sheet) -> None:
    """What the boxes mean."""
    for left, style, text in (
        (A, 'kept', 'kept at the end'),
        (B - 26, 'online', 'trained, thrown away'),
        (C - 26, 'target', 'no gradient, thrown away'),
    ):
        sheet.swatch(left, 1246, style)
        sheet.words(left + 38, 1246, text, 16, ha='left')


def name(sheet: Sheet, x: float, y: float, title: str, shape: str) -> None:
    """The words under a picture."""
    sheet.words(x, y, title, 20, weight='bold')
    sheet.words(x, y + 25, shape)


def flow(
    sheet: Sheet,
    column: float,
    rows: tuple[float, float],
    text: str,
    color: str = BLUE,
    at: float | None = None,
) -> None:
    """An arrow down from box to box, with what goes along it."""
    top, bottom = rows
    sheet.arrow((column + 36, top + 2), (column + 36, bottom - 4), color=color)
    sheet.words(column + 50, at or (top + bottom) / 2 - 1, text, ha='left')


def follow(sheet: Sheet, y: float, decay: str) -> None:
    """The momentum update, from the second column to the third."""
    sheet.arrow((B + BOX + 3, y), (C - 4, y), color=INK, dashed=True)
    middle = (B + BOX + C) / 2 - 2
    sheet.words(middle, y - 16, 'EMA', 15)
    sheet.words(middle, y + 16, decay, 15)
