from .cmae import CMAE
from .cmae_vit import CMAEViT
from .contrastive_head import ContrastiveHead, PositivePairHead
from .decoders import FeatureDecoder, PixelDecoder, SharedFeatureDecoder
from .reconstruction_head import ReconstructionHead
from .two_view_preprocessor import TwoViewPreprocessor

__all__ = [
    'CMAE',
    'CMAEViT',
    'ContrastiveHead',
    'FeatureDecoder',
    'PixelDecoder',
    'PositivePairHead',
    'ReconstructionHead',
    'SharedFeatureDecoder',
    'TwoViewPreprocessor',
]
