"""A Segmenter whose three networks are torch's, in this process: the modules that export makes its graphs of."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from export.sam2.decoder import Decoder
from export.sam2.encoder import Encoder
from export.sam2.prepare import Prepare
from export.sam2.serving import segment_facts
from export.sam2.source import load_sam2
from modelcore.images import PictureLimits
from modelcore.sam2_models import SAM2_MODELS
from modelcore.vision.embedding_cache import EmbeddingCache
from modelcore.vision.segmenter import Arrays, Call, Sam2Networks, Segmenter

DEMO = Path(__file__).parents[1] / "families" / "demo" / "sam2"


class InProcess:
    """`times` counts the calls of each network by its name."""

    def __init__(self, weights: Path = DEMO, cache_bytes: int = 1 << 28) -> None:
        self.times: Counter[str] = Counter()
        model = load_sam2(weights)
        modules = (Encoder(model), Prepare(model), Decoder(model))
        served = zip(SAM2_MODELS, modules, strict=True)
        networks = Sam2Networks(
            *(
                self._call(each.name, [t.name for t in each.inputs], [t.name for t in each.outputs], module)
                for each, module in served
            )
        )
        self.cache = EmbeddingCache(cache_bytes)
        self.segmenter = Segmenter(networks, segment_facts(weights), self.cache, ThreadPoolExecutor(2), PictureLimits())

    def _call(self, name: str, inputs: list[str], outputs: list[str], module: torch.nn.Module) -> Call:
        @torch.inference_mode()
        def call(arrays: Arrays) -> Arrays:
            self.times[name] += 1
            answer = module(*(torch.from_numpy(arrays[key]) for key in inputs))
            return {key: tensor.numpy() for key, tensor in zip(outputs, answer, strict=True)}

        return call
