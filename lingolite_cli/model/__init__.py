"""The network, its checkpoints and its bundles. The only host package that imports torch."""

from lingolite_cli.model.attention import GroupedQueryAttention
from lingolite_cli.model.bundle import import_checkpoint, load_bundle, load_model, save_bundle
from lingolite_cli.model.cache import CacheError, KVCache, LayerCache
from lingolite_cli.model.checkpoint import Checkpoint, read_checkpoint
from lingolite_cli.model.dynamic_quantization import apply_dynamic_quantization
from lingolite_cli.model.qat import convert_qat_model, prepare_model_for_qat
from lingolite_cli.model.static_quantization import apply_static_quantization
from lingolite_cli.model.transformer import TransformerDecoder, TransformerEncoder
from lingolite_cli.model.translation_model import MobileTranslationModel

__all__ = [
    "CacheError",
    "Checkpoint",
    "GroupedQueryAttention",
    "KVCache",
    "LayerCache",
    "MobileTranslationModel",
    "TransformerDecoder",
    "TransformerEncoder",
    "apply_dynamic_quantization",
    "apply_static_quantization",
    "convert_qat_model",
    "import_checkpoint",
    "load_bundle",
    "load_model",
    "prepare_model_for_qat",
    "read_checkpoint",
    "save_bundle",
]
