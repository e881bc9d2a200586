"""What a stage hands to the one training loop."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from anon_jax.state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
Paint = Callable[[Any, Batch, jax.Array], jax.Array]
"""(averaged parameters by network name, `image` and `map` of 1 or n pictures, mixtures of control
identities [n, identities]) -> n final pictures, float32 [n, s, s, 3] in [-1, 1]."""
Embed = Callable[[Any, Batch], jax.Array]
"""(averaged parameters by network name, a batch) -> I's embeddings, float32 [b, d]."""


@dataclasses.dataclass(frozen=True)
class Stage:
  """The pure functions of one training stage.

  Attributes:
    name: the config's `stage`.
    init: key -> state without its frozen weights; runs under jit.
    step: (state, batch) -> (state, metrics): one update of every network in training, metrics
      are float32 scalars.
    predict: (state, batch) -> pictures and masks by name, computed with the averaged parameters;
      randomness comes from the batch's `index`, so that it does not depend on the batch size.
    columns: the names of `predict`'s pictures that a sample grid shows, in order.
    frozen: published weights (host arrays) that belong into the state's `frozen`; passed as
      arguments, because closed over they would be constants inside the compiled program.
    initial: parameters (host arrays) by network name that networks and their averages start from
      instead of random ones; passed as arguments too. A run that goes on has its own.
    paint: paints control identities, for evaluation; None for a stage that knows none.
    embed: embeds the real faces of a batch, for evaluation; None for a stage without I.
  """

  name: str
  init: Callable[[jax.Array], TrainState]
  step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
  predict: Callable[[TrainState, Batch], dict[str, jax.Array]]
  columns: tuple[str, ...]
  frozen: Any = dataclasses.field(default_factory=dict)
  initial: dict[str, Any] = dataclasses.field(default_factory=dict)
  paint: Paint | None = None
  embed: Embed | None = None
