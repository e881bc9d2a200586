"""How files are anonymized, and what became of them: what a run is told, and what it tells."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from anon_jax.inference.manifest import Entry
from anon_jax.inference.mask_sources import Source


@dataclasses.dataclass(frozen=True)
class Options:
  """How files are treated.

  Attributes:
    keep_time: carry the capture time over.
    keep_position: carry the place over.
    allow_no_faces: write pictures in which no face was found, too.
    settings: what outputs depend on, for the manifest; a run goes on from another with the same
      ones only.
    key: of repeatable draws; a run goes on from another with the same one only.
    manifest: where it is written; None writes none.
    sound: copy the sound of videos.
    codec: FFmpeg's encoder of videos.
    crf: its constant rate factor.
    batch_faces: a batch is closed when it has so many faces and bodies; 1 where they gain nothing
      by company.
    masks: of bodies; None where faces alone are replaced.
  """

  keep_time: bool = False
  keep_position: bool = False
  allow_no_faces: bool = False
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  key: bytes | None = None
  manifest: pathlib.Path | None = None
  sound: bool = False
  codec: str = 'libx264'
  crf: int = 18
  batch_faces: int = 16
  masks: Source | None = None


@dataclasses.dataclass
class Report:
  """What became of a plan.

  Attributes:
    entries: one for each job, in its order.
    refused: inputs that never became a job.
    resumed: jobs that an earlier run had done.
    interrupted: Ctrl-C ended the run.
  """

  entries: list[Entry]
  refused: Sequence[tuple[pathlib.Path, str]]
  resumed: int = 0
  interrupted: bool = False

  @property
  def complete(self) -> bool:
    """Whether every input was written and each of its faces replaced or covered."""
    return not self.refused and all(entry.written for entry in self.entries)

  def faces(self) -> list[Mapping[str, Any]]:
    """Returns the manifest's records of all faces of what was written."""
    return self._records('faces')

  def bodies(self) -> list[Mapping[str, Any]]:
    """Returns the same of all bodies."""
    return self._records('bodies')

  def _records(self, kind: str) -> list[Mapping[str, Any]]:
    done = [entry for entry in self.entries if entry.written]
    return [record for entry in done for record in entry.record().get(kind, ())]
