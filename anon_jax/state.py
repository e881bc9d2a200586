"""Training state: arrays only, and field names that are a file format."""

from typing import Any

import flax.struct
import jax


class Net(flax.struct.PyTreeNode):
  """One network's trained parameters and its optimizer's state."""

  params: Any
  opt_state: Any


class TrainState(flax.struct.PyTreeNode):
  """Everything a resumed run needs, for every stage.

  Attributes:
    step: int32 scalar, updates already applied.
    key: root random key; never split, streams fold in the step.
    nets: the networks in training, by name.
    ema: running averages of parameters by network name, used by evaluation and samples.
    frozen: published weights that no step changes, by network name; not saved in checkpoints.
  """

  step: jax.Array
  key: jax.Array
  nets: dict[str, Net]
  ema: dict[str, Any]
  frozen: Any = flax.struct.field(default_factory=dict)
