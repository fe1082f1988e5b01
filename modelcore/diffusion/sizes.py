"""How large a family's pictures may be, and how much work one request. Knows numbers only."""

from dataclasses import dataclass
from math import lcm

from modelcore.contract import Limit
from modelcore.diffusion.networks import LatentFacts
from modelcore.errors import InvalidInput
from modelcore.family import SIZE_STEP_PX, Diffusion

_SD3_PATCH = 2  # its transformer reads latents in squares of this side


@dataclass(frozen=True)
class Sizes:
    width: Limit
    height: Limit
    step_px: int

    def check(self, width: int, height: int, *, field: str = "") -> None:
        """`field` is the one to blame where the sizes were not asked for but came out of it."""
        for limit, size_px in ((self.width, width), (self.height, height)):
            if size_px % self.step_px or not limit.minimum <= size_px <= limit.maximum:
                cause = f"{field} makes a picture whose {limit.name}" if field else limit.name
                raise InvalidInput(
                    f"{cause} must be a multiple of {self.step_px} between {limit.minimum} and {limit.maximum}: "
                    f"{size_px}; nearest: {' or '.join(map(str, self._nearest(limit, size_px)))}",
                    field=field or limit.name,
                )

    def fitted(self, width: int, height: int) -> tuple[int, int]:
        """The allowed size that is most like this one: its proportions kept as far as the limits allow."""
        shrink = min(1.0, self.width.maximum / width, self.height.maximum / height)
        grow = max(1.0, self.width.minimum / width, self.height.minimum / height)
        scale = shrink * grow
        return self._rounded(self.width, width * scale), self._rounded(self.height, height * scale)

    def _rounded(self, limit: Limit, size_px: float) -> int:
        wanted = round(size_px / self.step_px) * self.step_px
        return min(max(wanted, self._least(limit)), self._most(limit))

    def _nearest(self, limit: Limit, size_px: int) -> list[int]:
        below = size_px // self.step_px * self.step_px
        around = (below, below + self.step_px)
        return sorted({min(max(size, self._least(limit)), self._most(limit)) for size in around})

    def _least(self, limit: Limit) -> int:
        return -(-limit.minimum // self.step_px) * self.step_px

    def _most(self, limit: Limit) -> int:
        return limit.maximum // self.step_px * self.step_px


def sizes_of(diffusion: Diffusion, latents: LatentFacts) -> Sizes:
    """The networks' own step, where it is coarser than the family's: sd3 needs an even number of latents."""
    cells = _SD3_PATCH if diffusion.architecture == "sd3" else 1
    step_px = lcm(SIZE_STEP_PX, latents.pixels_per_cell * cells)
    return Sizes(diffusion.limits.width, diffusion.limits.height, step_px)


def check_work(diffusion: Diffusion, *, width: int, height: int, steps: int, num_images: int) -> None:
    """Each limit alone allows far more than all of them together should: one request must not keep others out."""
    budget, pixels = _budget(diffusion), width * height
    if pixels * steps * num_images > budget:
        raise InvalidInput(
            f"width x height x steps x num_images must be at most {budget}: {width} x {height} x {steps} x "
            f"{num_images} is {pixels * steps * num_images}; steps {budget // (pixels * num_images)} would do, "
            f"or num_images {budget // (pixels * steps)}",
            field="steps",
        )


def _budget(diffusion: Diffusion) -> int:
    """The largest picture at the most steps, or the most pictures at the defaults: whichever is more."""
    limits, defaults = diffusion.limits, diffusion.defaults
    largest = limits.width.maximum * limits.height.maximum * limits.steps.maximum
    return max(largest, defaults.width * defaults.height * defaults.steps * limits.pictures.maximum)
