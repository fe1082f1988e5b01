"""One picture in flight: what it asks of the denoiser next, and how it goes on with the answer.

Knows its own scheduler, guidance and mask; knows nothing of the other rows in its call, which therefore cannot touch
it: each row computes with its own arrays, one call's answer after the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from modelcore.diffusion.guidance import Guidance, guided
from modelcore.diffusion.networks import Floats
from modelcore.diffusion.schedulers import Sampler
from modelcore.errors import InternalFault


@dataclass(frozen=True)
class Group:
    """Rows of equal groups fit into one call of the denoiser."""

    channels: int
    height: int  # of the latents
    width: int
    tokens: int


@dataclass(frozen=True)
class Kept:
    """What an inpainting must leave alone, for a denoiser that cannot see a mask: put back after every step."""

    latents: Floats  # of the original picture
    noise: Floats  # the picture's own first noise
    mask: Floats  # (1, h, w): 1 = paint here

    def blend(self, original: Floats, painted: Floats) -> Floats:
        return (1 - self.mask) * original + self.mask * painted


@dataclass(frozen=True)
class Start:
    """Where a picture begins: made by a task."""

    latents: Floats
    sampler: Sampler
    kept: Kept | None = None
    beside: Floats | None = None  # what an inpainting denoiser reads beside the latents: mask, masked picture


class Row:
    def __init__(
        self,
        start: Start,
        positive: Mapping[str, Floats],
        negative: Mapping[str, Floats] | None,
        guidance: Guidance,
        *,
        seed: int,
        variation_seed: int | None = None,
    ) -> None:
        """The texts are arrays without a row dimension. Without a negative there is no guidance."""
        self.seed = seed
        self.variation_seed = variation_seed
        self.step = 0  # calls of the denoiser so far
        self._latents = start.latents
        self._sampler = start.sampler
        self._kept = start.kept
        self._beside = start.beside
        self._guidance = guidance
        self._is_guided = negative is not None
        texts = [positive] if negative is None else [negative, positive]
        self._texts = {name: np.stack([text[name] for text in texts]) for name in positive}
        self._seen = self._as_seen()
        self._answered: tuple[Floats, Floats] | None = None  # latents as the denoiser saw them, its guided answer

    @property
    def group(self) -> Group:
        channels, height, width = self._latents.shape
        if self._beside is not None:
            channels += len(self._beside)
        return Group(channels, height, width, tokens=self._texts["encoder_hidden_states"].shape[1])

    @property
    def steps(self) -> int:
        """Calls of the denoiser in all. Some schedulers make more of them than the steps that were asked for."""
        return self._sampler.calls

    @property
    def shown_step(self) -> int:
        """As its caller counts: of `shown_steps`, those that are surely behind us."""
        return self.shown_steps * self.step // self.steps

    @property
    def shown_steps(self) -> int:
        return self._sampler.asked_steps

    @property
    def is_done(self) -> bool:
        return self.step == self.steps

    @property
    def latents(self) -> Floats:
        return self._latents

    @property
    def slots(self) -> int:
        """Of the next call: two while guided, for the denoiser answers without and with the prompt."""
        return 2 if self._is_guided and self._guidance.is_on(self.step, self.steps) else 1

    def inputs(self) -> dict[str, Floats]:
        slots, latents = self.slots, self._seen
        if self._beside is not None:
            latents = np.concatenate([latents, self._beside])
        return {
            "latents": np.array([latents] * slots),
            "timestep": np.array([[self._sampler.timestep(self.step)]] * slots, dtype=np.float32),
            **{name: text[-slots:] for name, text in self._texts.items()},
        }

    def advance(self, noise: Floats) -> None:
        """(slots, channels, h, w), the denoiser's answer to `inputs`."""
        # A copy where nothing is computed: the answer is a view of the whole call's, and schedulers remember it.
        with np.errstate(invalid="ignore"):  # looked at below
            answer = guided(noise, self._guidance) if self.slots == 2 else noise[0].copy()
            latents = self._sampler.step(self.step, answer, self._latents)
        self._check_finite(noise, latents)
        self._answered = self._seen, answer
        self.step += 1
        self._latents = self._with_kept(latents)
        self._seen = self._as_seen()

    def preview(self) -> Floats | None:
        """The finished latents as the last answer foresees them; None before the first."""
        if self._answered is None:
            return None
        estimate = self._sampler.estimate(self.step - 1, *self._answered)
        return estimate if self._kept is None else self._kept.blend(self._kept.latents, estimate)

    def _as_seen(self) -> Floats:
        """The latents as the denoiser is to see them next; there is no next time once all is done."""
        return self._latents if self.is_done else self._sampler.scaled(self.step, self._latents)

    def _with_kept(self, latents: Floats) -> Floats:
        """What is kept gets as much noise as the rest still has."""
        if self._kept is None:
            return latents
        original = self._kept.latents
        if not self.is_done:
            original = self._sampler.noised(self.step, original, self._kept.noise)
        return self._kept.blend(original, latents)

    def _check_finite(self, noise: Floats, latents: Floats) -> None:
        """What is no number stays none, so that one look at the step's latents tells of the denoiser's answer too."""
        if not np.isfinite(latents).all():
            whose = "the scheduler's step" if np.isfinite(noise).all() else "the denoiser's answer"
            raise InternalFault(
                f"the picture of seed {self.seed} came to no number: {whose} at call {self.step + 1} of {self.steps} "
                "has NaN or infinity in it"
            )
