from .cmae import CMAE
from .cmae_conv_vit import CMAEConvViT
from .cmae_vit import CMAEViT
from .coarser_level import CoarserLevel
from .contrastive_head import ContrastiveHead
from .conv_vit import ConvViT
from .feature_decoder import FeatureDecoder

__all__ = [
    'CMAE',
    'CMAEConvViT',
    'CMAEViT',
    'CoarserLevel',
    'ContrastiveHead',
    'ConvViT',
    'FeatureDecoder',
]
