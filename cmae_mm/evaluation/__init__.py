from .class_iou import ClassIoU
from .features import extract_features
from .knn import KNNAccuracy, KNNTestLoop, knn_accuracy
from .linear import linear_accuracy

__all__ = [
    'ClassIoU',
    'KNNAccuracy',
    'KNNTestLoop',
    'extract_features',
    'knn_accuracy',
    'linear_accuracy',
]
