from .knn import KNNAccuracy, KNNTestLoop, knn_accuracy

__all__ = ['KNNAccuracy', 'KNNTestLoop', 'knn_accuracy']
