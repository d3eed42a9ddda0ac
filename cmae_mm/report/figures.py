"""The final figures of a run, and words for them."""

from .records import Run

# What a reader wants to know first: names of numbers, and words for them.
SCORES = {
    'knn/top1': 'k-NN, top-1 %',
    'monitor/knn_top1': 'k-NN, top-1 %',
    'monitor/linear_top1': 'linear probe, top-1 %',
    'accuracy/top1': 'top-1 accuracy, %',
    'mIoU': 'mIoU, %',
    'coco/bbox_mAP': 'box AP, %',
    'coco/segm_mAP': 'mask AP, %',
}
LOSSES = {
    'loss_reconstruction': 'reconstruction loss',
    'loss_contrastive': 'contrastive loss',
    'acc_contrastive': 'contrastive accuracy',
    'loss': 'loss',
}
_SHARES = ('coco/bbox_mAP', 'coco/segm_mAP')  # told in percent by everybody


def final_figures(run: Run, names: dict[str, str]) -> dict[str, float]:
    """The last values of some numbers, by their words; those not recorded are left out.

    Args:
        run (Run): The run.
        names (dict[str, str]): Such as :data:`SCORES`. Of two numbers with the same
            words the first one counts.
    """
    found: dict[str, float] = {}
    for name, words in names.items():
        value = run.last(name)
        if value is not None and words not in found:
            found[words] = value * (100 if name in _SHARES else 1)
    return found
