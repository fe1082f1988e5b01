"""A family's studio from its files and its served networks. The one place where all that paints is put together."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from modelcore.bls import Lost, served_networks
from modelcore.diffusion.call_sizes import TimedCallSize
from modelcore.diffusion.conditioning import Conditioner, TextFacts
from modelcore.diffusion.latent_preview import LatentPreview
from modelcore.diffusion.networks import Networks
from modelcore.diffusion.orders import ModelFacts, PictureRow
from modelcore.diffusion.request import PictureRequest, parse_request
from modelcore.diffusion.schedulers import Schedulers
from modelcore.diffusion.studio import Studio
from modelcore.diffusion.tasks import make_rows
from modelcore.diffusion.teller import Teller
from modelcore.diffusion_models import AUTOENCODER_MAX_BATCH, DENOISER_MAX_BATCH
from modelcore.errors import ModelUnavailable
from modelcore.pipeline_folder import PipelineFolder, read_pipeline_folder
from modelcore.pipeline_metrics import PipelineMetrics

# Triton has 32 threads for a model's answers and calls. Long before they are gone a watchdog should load it again.
STALLED_AT_MOST = 8

_log = logging.getLogger(__name__)


def open_studio(pb_utils: Any, family: str, version: Path, on_lost: Lost) -> Studio:
    """Ready to paint once the networks' models are. To be closed."""
    # Schedulers work on a few thousand numbers; threads would only take the networks' cores.
    torch.set_num_threads(1)
    folder = read_pipeline_folder(version)
    networks = served_networks(pb_utils, family, folder.diffusion.architecture, on_lost)
    teller = Teller(family)
    metrics = PipelineMetrics(pb_utils, family, lambda message: teller.tell(PipelineMetrics, message))

    def note_given_up(stalled: int) -> None:
        metrics.given_up()
        _log.error("Triton has not taken an answer: %d requests hold a thread of it each", stalled)
        if stalled >= STALLED_AT_MOST:
            on_lost(ModelUnavailable(family, f"{family} cannot answer {stalled} requests; it is loaded again"))

    return Studio(
        FamilyPreparer(folder, networks),
        denoise=networks.denoise,
        decode=networks.decode_latents,
        preview_pixels=LatentPreview(folder.diffusion.architecture, folder.diffusion.preview),
        model=ModelFacts(family, folder.facts.model_digest),
        call_size=TimedCallSize(DENOISER_MAX_BATCH),
        pictures_per_decode=AUTOENCODER_MAX_BATCH,
        observer=metrics,
        teller=teller,
        on_given_up=note_given_up,
    )


class FamilyPreparer:
    """What this family makes of a request. Called from several threads at once."""

    def __init__(self, folder: PipelineFolder, networks: Networks) -> None:
        diffusion, facts = folder.diffusion, folder.facts
        self._diffusion = diffusion
        self._latents = facts.latents
        self._networks = networks
        self._schedulers = Schedulers(folder.scheduler_config, diffusion.architecture)
        texts = TextFacts(diffusion.architecture, facts.forces_zeros_for_empty_prompt)
        self._conditioner = Conditioner(texts, folder.tokenizers, networks.encode_text)

    def parse(self, arrays: Mapping[str, NDArray[Any]]) -> PictureRequest:
        return parse_request(arrays, self._diffusion, self._latents)

    def rows(self, request: PictureRequest) -> tuple[Sequence[PictureRow], Sequence[str]]:
        words = self._conditioner.pair(request)
        rows = make_rows(
            request,
            words.positive,
            words.negative,
            networks=self._networks,
            schedulers=self._schedulers,
            facts=self._latents,
        )
        return rows, words.warnings
