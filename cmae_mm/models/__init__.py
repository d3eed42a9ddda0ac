from .cmae import CMAE
from .cmae_conv_vit import CMAEConvViT
from .cmae_vit import CMAEViT
from .coarser_level import CoarserLevel
from .contrastive_head import ContrastiveHead, PositivePairHead
from .conv_vit import ConvViT
from .data_preprocessor import MultibandDataPreprocessor
from .decoders import FeatureDecoder, PixelDecoder, SharedFeatureDecoder
from .reconstruction_head import ReconstructionHead
from .simple_feature_pyramid import SimpleFeaturePyramid
from .two_view_preprocessor import TwoViewPreprocessor
from .vitdet import ViTDet

__all__ = [
    'CMAE',
    'CMAEConvViT',
    'CMAEViT',
    'CoarserLevel',
    'ContrastiveHead',
    'ConvViT',
    'FeatureDecoder',
    'MultibandDataPreprocessor',
    'PixelDecoder',
    'PositivePairHead',
    'ReconstructionHead',
    'SharedFeatureDecoder',
    'SimpleFeaturePyramid',
    'ViTDet',
    'TwoViewPreprocessor',
]
