"""Where an evaluation reads and writes, who decides who is who, and what identifies it."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from anon_jax.protocols import figures, networks
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.study import Study
from anon_jax.protocols.systems import METHOD, System

_ROWS = 24  # of a contact sheet
_PAIRS, _WORST = 100, 20


class Place(NamedTuple):
  """Where an evaluation reads and writes, and who decides who is who.

  Attributes:
    data: folder of the raw files.
    workdir: for results, and for everything that takes time.
    embedder: the recogniser.
    more: systems of given pictures.
  """

  data: pathlib.Path
  workdir: pathlib.Path
  embedder: Embedder
  more: Sequence[System]

  def facts(self, config: Any, result: Mapping[str, Any]) -> dict[str, str]:
    """Returns what identifies a measurement."""
    return {
      'recogniser': f'{self.embedder.name} ({self.embedder.sha256[:12]})',
      'networks': networks.fingerprint(config.weights_from)[:12],
      'list': str(result['list'])[:12],
      'seed': str(config.seed),
    }

  def sheet(self, study: Study, names: Sequence[str], seed: int) -> None:
    """Draws pictures that nobody has chosen, as every system makes them."""
    rng = np.random.default_rng(seed)
    drawn = sorted(rng.choice(len(names), min(_ROWS, len(names)), replace=False))
    columns = {
      title: [read(names[place]) for place in drawn] for title, read in study.readers.items()
    }
    figures.sheet(self.workdir / 'sheet.png', columns)

  def pairs(self, study: Study, seed: int) -> None:
    """Draws pictures before and after: some that nobody has chosen, and the worst ones.

    The worst are those in whose outputs the detector is least sure of the main face.
    """
    before, after = study.read, study.readers[METHOD.title]
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(study.names), min(_PAIRS, len(study.names)), replace=False)
    for file, names in (
      ('pairs.png', [study.names[place] for place in sorted(drawn.tolist())]),
      ('worst.png', study.worst(METHOD, _WORST)),
    ):
      figures.pairs(self.workdir / file, [(before(name), after(name)) for name in names])
