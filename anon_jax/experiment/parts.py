"""What a stage's builder hands over."""

from typing import NamedTuple

import grain
import numpy as np

from anon_jax import train as training
from anon_jax.steps.stage import Stage


class Experiment(NamedTuple):
  """What the loop is called with.

  Attributes:
    stage: networks and step.
    dataset: this process's training batches.
    samples: the batch that sample grids show.
    evaluate: measures a state and writes the workdir's report.
    data: what tells the prepared splits from others, by split; a run goes on with the same only.
  """

  stage: Stage
  dataset: grain.IterDataset
  samples: dict[str, np.ndarray]
  evaluate: training.Evaluate
  data: dict[str, str]
