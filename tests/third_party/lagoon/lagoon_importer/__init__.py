"""An importer of a family that no other importer knows: post-norm, GELU, gated, learned positions, three embeddings."""

from pathlib import Path

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import ImporterSpec


def recognizes(path):
    return (path / "lagoon.json").is_file()


@hookimpl
def lingolite_importers():
    reads, places = "a directory with lagoon.json", ("lagoon_importer:Lagoon", "lagoon_importer:recognizes")
    yield ImporterSpec(name="lagoon", summary=reads, reads=reads, factory=places[0], recognizer=places[1])


class Lagoon:
    def __init__(self, *, options):
        pass

    def read(self, path: Path):
        import json

        import numpy as np

        from lingolite_cli.architecture.architecture import Architecture, Learned
        from lingolite_cli.importing.imported import Imported, ImportedTokenizer
        from lingolite_cli.tokenization.description import Frame, SpecialIds, TokenizerDescription

        sizes = json.loads((path / "lagoon.json").read_text())
        network = {"norm": "layer", "norm_place": "post", "final_norm": False, "activation": "gelu", "gated": True}
        network |= {"positions": Learned(), "tie_embeddings": False, "biases": True, "logits_bias": True}
        tensors = {name.replace("/", "."): array for name, array in np.load(path / "lagoon.npz").items()}
        ids = SpecialIds(pad=3, start=3, end=2, unknown=0)
        frame = Frame(source_prefix=(), source_suffix=("</s>",))
        described = TokenizerDescription(kind="sentencepiece", ids=ids, frame=frame)
        files = {"tokenizer.model": (path / "lagoon.spm").read_bytes()}
        tokenizer = ImportedTokenizer(description=described, files=files)
        architecture = Architecture(**sizes, **network, pad_token_id=3)
        return Imported(architecture=architecture, tensors=tensors, tokenizer=tokenizer, languages=("en", "da"))
