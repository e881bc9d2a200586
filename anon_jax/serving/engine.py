"""What the page has things done by: one detector and one set of networks, loaded once."""

import dataclasses
import pathlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from anon_jax.inference import command, covering, detection, flags
from anon_jax.inference.anonymizer import METHODS, SHIPPED, Anonymizer
from anon_jax.inference.decisions import Trust
from anon_jax.inference.faces import Detector

if TYPE_CHECKING:  # it imports jax, which the covering methods do without
  from anon_jax.inference.synthesis import Synthesizer


class Engine:
  """Makes anonymizers that share their networks.

  Attributes:
    identities: number of control identities; 0 without networks.

  Args:
    detector: finds faces.
    synthesizer: paints new ones; None leaves the covering methods.
    settings: what tells both from others, for manifests.
  """

  def __init__(
    self,
    detector: Detector,
    synthesizer: 'Synthesizer | None' = None,
    settings: Mapping[str, Any] | None = None,
  ):
    self._detector, self._synthesizer, self._settings = detector, synthesizer, settings or {}
    self.identities = synthesizer.identities if synthesizer else 0
    self._warm = threading.Event()

  @classmethod
  def load(cls, weights: str | None = None, threshold: float | None = None) -> 'Engine':
    """Loads the detector, and the networks of a folder or of the package.

    Raises:
      WeightsError: the folder is missing, damaged or of another version.
      InferenceError: there is no detector.
    """
    given = detection.THRESHOLD if threshold is None else threshold
    detector = detection.load_detector(threshold=given)
    # one picture is searched at a time, and somebody waits for it
    beside = ThreadPoolExecutor(detector.callers, 'anon-jax-search')
    detector = dataclasses.replace(detector, beside=beside)
    settings = {'detector': detector.sha256[:16], 'detector_threshold': given, 'weights': ''}
    if not weights and not (SHIPPED / 'model.json').is_file():
      return cls(detector, None, settings)
    folder = command.weights_folder(weights)
    command.keep_programs()
    # here and not above: it imports jax, which the covering methods do without
    from anon_jax.inference.synthesis import Synthesizer
    from anon_jax.inference.weights import load_weights

    settings['weights'] = command.fingerprint_of(pathlib.Path(folder))
    return cls(detector, Synthesizer(load_weights(folder)), settings)

  @property
  def methods(self) -> Sequence[str]:
    """What may become of a face, the default first."""
    return METHODS if self._synthesizer else tuple(covering.METHODS)

  def anonymizer(self, method: str, identity: str) -> Anonymizer:
    """Returns what anonymizes so.

    Raises:
      InferenceError: there is no such method or control identity.
    """
    return Anonymizer(
      self._detector,
      self._synthesizer if method == 'synthesize' else None,
      method=method,
      trust=Trust(score=flags.TRUST),
      identity=identity if method == 'synthesize' else '',
    )

  def settings(self, method: str, identity: str) -> dict[str, Any]:
    """Returns what a result depends on, for its manifest: as those of the command."""
    return {
      'method': method,
      'identity': identity if method == 'synthesize' else '',
      'trust': flags.TRUST,
      'block': flags.BLOCK,
      'kernel': flags.KERNEL,
      'page': True,
      **self._settings,
    }

  def warm_up(self) -> None:
    """Has the programs compiled that the first picture needs, while nobody waits for them yet."""
    try:
      if self._synthesizer:
        _try(self._synthesizer)
    finally:
      self._warm.set()

  def wait_until_warm(self, method: str) -> None:
    """Waits for `warm_up`, where a method needs it: two threads would compile everything twice."""
    if method == 'synthesize':
      self._warm.wait()


def _try(net: 'Synthesizer') -> None:
  crops = np.zeros((1, net.size, net.size, 3), np.uint8)
  controls = np.full((1, net.identities), 1 / net.identities, np.float32)
  net.paint(crops, net.maps(crops), controls, replaced=np.ones(crops.shape[:3], bool))
