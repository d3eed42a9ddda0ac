from .cmae import CMAE
from .cmae_vit import CMAEViT
from .contrastive_head import ContrastiveHead
from .feature_decoder import FeatureDecoder
from .simple_feature_pyramid import SimpleFeaturePyramid
from .vitdet import ViTDet

__all__ = [
    'CMAE',
    'CMAEViT',
    'ContrastiveHead',
    'FeatureDecoder',
    'SimpleFeaturePyramid',
    'ViTDet',
]
