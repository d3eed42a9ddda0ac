from .cmae import CMAE
from .cmae_vit import CMAEViT
from .contrastive_head import ContrastiveHead
from .data_preprocessor import MultibandDataPreprocessor
from .feature_decoder import FeatureDecoder

__all__ = [
    'CMAE',
    'CMAEViT',
    'ContrastiveHead',
    'FeatureDecoder',
    'MultibandDataPreprocessor',
]
