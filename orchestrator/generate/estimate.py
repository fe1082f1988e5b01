"""What an order will take, and whether its family would paint it at all, known before any work. Asks nobody."""

import asyncio
from dataclasses import dataclass

from modelcore.diffusion.networks import LatentFacts
from modelcore.diffusion.request import PictureRequest, parse_request
from modelcore.errors import NotFound
from modelcore.family import SIZE_STEP_PX, Diffusion
from orchestrator.generate.order import Order
from orchestrator.generate.painter import named_as_asked
from orchestrator.keys.limits import cost_of


@dataclass(frozen=True)
class Estimate:
    steps: int  # of all pictures together
    cost: int  # pixels x steps x pictures


class Estimator:
    """By the family's own file and the pipeline's own check, so that both sides refuse with the same words."""

    def __init__(self, family: str, diffusion: Diffusion | None) -> None:
        self._family = family
        self._diffusion = diffusion

    async def estimate(self, order: Order) -> Estimate:
        """Decodes the pictures that came with the order, in a thread."""
        if self._diffusion is None:
            raise NotFound(f"the family {self._family} makes no pictures", field="model")
        with named_as_asked():
            request = await asyncio.to_thread(_parsed, order, self._diffusion)
        cost = cost_of(request.width, request.height, request.steps, request.num_images)
        return Estimate(request.steps * request.num_images, cost)


def _parsed(order: Order, diffusion: Diffusion) -> PictureRequest:
    # All that sizes depend on; the rest of these facts is in the weights' files, which are not here.
    latents = LatentFacts(diffusion.architecture, channels=4, pixels_per_cell=SIZE_STEP_PX, denoiser_channels=4)
    return parse_request(order.inputs(), diffusion, latents)
