"""From a request to the rows that paint it: the latents each starts from, and what it must leave alone.

Whatever is random is drawn in the order of diffusers' pipelines, so that a seed gives their picture. Text to picture
draws the noise; picture to picture a sample of the picture's latents, then the noise; inpainting both, then a sample
of the masked picture's latents, even where nobody reads it.
"""

import numpy as np

from modelcore.diffusion.conditioning import Conditioning
from modelcore.diffusion.guidance import Guidance
from modelcore.diffusion.networks import Floats, LatentFacts, Networks
from modelcore.diffusion.noise import SEEDS, NoiseSource, walk
from modelcore.diffusion.originals import Originals, encode_originals
from modelcore.diffusion.request import PictureRequest
from modelcore.diffusion.row import Kept, Row, Start
from modelcore.diffusion.schedulers import Sampler, Schedulers


def make_rows(
    request: PictureRequest,
    positive: Conditioning,
    negative: Conditioning | None,
    *,
    networks: Networks,
    schedulers: Schedulers,
    facts: LatentFacts,
) -> list[Row]:
    """One row for each picture."""
    guidance = Guidance(request.guidance_scale, request.guidance_rescale, request.guidance_end)
    against = None if negative is None or facts.is_guidance_distilled else negative.arrays
    starts = [Beginning(request, schedulers, facts, index) for index in range(request.num_images)]
    originals = encode_originals(
        request.init_image,
        request.mask_image,
        size=(request.width, request.height),
        encode=networks.encode_picture,
        facts=facts,
    )
    return [
        Row(
            start.start(originals),
            positive.arrays,
            against,
            guidance,
            seed=start.seed,
            variation_seed=start.variation_seed,
        )
        for start in starts
    ]


class Beginning:
    """Of one picture of a request: its seeds, its sampler, and from these its first latents."""

    def __init__(self, request: PictureRequest, schedulers: Schedulers, facts: LatentFacts, index: int) -> None:
        """Refuses here what the scheduler cannot do, before any picture is encoded."""
        self._request = request
        self._facts = facts
        self._shape = facts.shape(request.width, request.height)
        self.seed, self.variation_seed = _seeds(request, index)
        self._noise = NoiseSource(self.seed)
        strength = 1.0 if request.init_image is None else request.strength
        self._sampler: Sampler = schedulers.sampler(
            request.scheduler, request.steps, self._noise, strength=strength, latents=self._shape
        )

    def start(self, originals: Originals) -> Start:
        if originals.mask is not None:
            return self._inpainting(originals, originals.mask)
        if originals.picture is not None:
            picture = originals.picture.sample(self._noise)
            return Start(self._sampler.noised(0, picture, self._first_noise()), self._sampler)
        return Start(self._sampler.started(self._first_noise()), self._sampler)

    def _inpainting(self, originals: Originals, mask: Floats) -> Start:
        picture = self._sampled_picture(originals)
        noise = self._first_noise()
        hidden = self._sampled_masked_picture(originals)
        if picture is None or self._is_from_noise_alone:
            latents = self._sampler.started(noise)
        else:
            latents = self._sampler.noised(0, picture, noise)
        if hidden is not None:
            return Start(latents, self._sampler, beside=np.concatenate([mask, hidden]))
        assert picture is not None, "a mask without a picture is refused with the request"
        return Start(latents, self._sampler, kept=Kept(picture, noise, mask))

    @property
    def _is_from_noise_alone(self) -> bool:
        """Inpainting at full strength forgets the picture; picture to picture never does, quite."""
        return self._request.strength >= 1

    def _sampled_picture(self, originals: Originals) -> Floats | None:
        """An inpainting denoiser needs none where it starts from noise alone, and then diffusers draws none."""
        if originals.picture is None or (self._facts.is_inpainting and self._is_from_noise_alone):
            return None
        return originals.picture.sample(self._noise)

    def _sampled_masked_picture(self, originals: Originals) -> Floats | None:
        if originals.masked is not None:
            return originals.masked.sample(self._noise)
        self._noise.draw(self._shape)  # diffusers draws it for every denoiser: what follows depends on it
        return None

    def _first_noise(self) -> Floats:
        noise = self._noise.draw(self._shape)
        if self.variation_seed is None:
            return noise
        return walk(noise, NoiseSource(self.variation_seed).draw(self._shape), self._request.variation_strength)


def _seeds(request: PictureRequest, index: int) -> tuple[int, int | None]:
    """Each picture has the next seed; variations of one seed have the next variation seed instead."""
    if request.variation_seed is not None and request.variation_strength > 0:
        return request.seed, (request.variation_seed + index) % SEEDS
    return (request.seed + index) % SEEDS, None
