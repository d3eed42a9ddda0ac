"""Labels that a classifier, a probe or k-NN could not learn from."""

from collections.abc import Sized

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.models import ImageClassifier


def check_labels(runner: Runner) -> list[str]:
    """Look at the labels of a classifier's data before the first image is read.

    Args:
        runner (Runner): About to train.

    Returns:
        list[str]: One complaint per data set that has no labels, a single class, more
        classes than the head, or other classes than the training; none for models
        that are no ``ImageClassifier``.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not isinstance(model, ImageClassifier):
        return []
    sets = dict(train_dataloader=runner.train_dataloader.dataset)
    if runner.val_loop is not None:
        sets['val_dataloader'] = runner.val_dataloader.dataset
    complaints = compare_labels(sets)
    outputs = getattr(model.head, 'num_classes', None)
    classes = classes_of(sets['train_dataloader'])
    if outputs and classes and len(classes) > outputs:
        complaints.append(
            f'train_dataloader: the data have {len(classes)} classes, the head tells '
            f'{outputs} apart. Set model.head.num_classes={len(classes)}.'
        )
    return complaints


def compare_labels(sets: dict[str, Sized]) -> list[str]:
    """Whether data sets have labels, and the same classes.

    Args:
        sets (dict[str, Sized]): Data sets by the setting that describes them, the one
            that is learnt from first. Those without ``get_data_info`` are passed over.

    Returns:
        list[str]: One complaint per data set.
    """
    complaints = [text for name in sets for text in _check_labelled(name, sets[name])]
    (first, learnt), *others = sets.items()
    classes = classes_of(learnt)
    if classes and len(classes) == 1:
        complaints.append(
            f'{first}: all images are of one class, {classes[0]!r}, so that there is '
            'nothing to tell apart. data_root and data_prefix must lead to the folder '
            'that holds one folder per class.'
        )
    for name, other in others:
        theirs = classes_of(other)
        if classes and theirs and tuple(theirs) != tuple(classes):
            complaints.append(
                f'{name}: its classes are not those of {first}, and labels are numbers '
                f'in their order. {_differences(first, classes, name, theirs)} Give '
                'both the same folders, or metainfo=dict(classes=...) and ann_file.'
            )
    return complaints


def classes_of(dataset: Sized) -> tuple[str, ...]:
    """Names of the classes, as far as a data set knows them."""
    return tuple((getattr(dataset, 'metainfo', None) or {}).get('classes') or ())


def _check_labelled(name: str, dataset: Sized) -> list[str]:
    """A data set without labels, by its first entry."""
    if not len(dataset) or not hasattr(dataset, 'get_data_info'):
        return []
    info = dataset.get_data_info(0)
    if 'gt_label' in info or 'gt_score' in info:
        return []
    return [
        f'{name}: the images have no labels ({info.get("img_path", "the first")}). '
        'Point the data set at a folder with one folder per class (with_label=True), '
        'or at an ann_file with "path label" in each line.'
    ]


def _differences(first: str, ours: tuple, name: str, theirs: tuple) -> str:
    """What one has and the other has not."""
    told = [
        f'Only in {where}: {", ".join(map(str, only[:5]))}.'
        for where, only in (
            (first, sorted(set(ours) - set(theirs), key=str)),
            (name, sorted(set(theirs) - set(ours), key=str)),
        )
        if only
    ]
    return ' '.join(told) or 'They are the same, in another order.'
