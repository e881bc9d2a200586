"""Anonymizes files: reads, detects, replaces, writes, and says what became of each."""

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from anon_jax.inference import manifest
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Anonymized, Request
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.listing import Job, Plan
from anon_jax.inference.manifest import ANONYMIZED, NO_FACE, REFUSED, Entry
from anon_jax.inference.paths import shown
from anon_jax.inference.reading import PictureFile, Reader
from anon_jax.inference.writing import write_picture_file, write_text_atomically

# A batch is closed when it has so many faces or pixels: programs run on full buckets, and memory
# does not grow with the number of files.
_BATCH_FACES, _BATCH_PIXELS = 16, 12_000_000


@dataclasses.dataclass(frozen=True)
class Options:
  """How files are treated.

  Attributes:
    keep_time: carry the capture time over.
    keep_position: carry the place over.
    allow_no_faces: write pictures in which no face was found, too.
    settings: of the run, for the manifest; a run goes on from another with the same ones only.
    manifest: where it is written; None writes none.
  """

  keep_time: bool = False
  keep_position: bool = False
  allow_no_faces: bool = False
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  manifest: pathlib.Path | None = None


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


@dataclasses.dataclass
class _Read:
  """A picture file with its faces, waiting for its batch."""

  job: Job
  entry: Entry
  picture: PictureFile
  requests: list[Request]


def anonymize_files(plan: Plan, anonymizer: Anonymizer, reader: Reader, options: Options) -> Report:
  """Does the jobs of a plan; one that fails is named and the others go on.

  A target appears whole or not at all. The manifest is written when all is done, and also when the
  run is broken off.

  Raises:
    InferenceError: the manifest cannot be written, or would overwrite another file.
  """
  entries = [Entry(job.source, job.target) for job in plan.jobs]
  report = Report(entries, plan.refused)
  earlier = manifest.resumable(options.manifest, options.settings) if options.manifest else {}
  records: dict[int, Mapping[str, Any]] = {}
  bar = tqdm(total=len(plan.jobs), desc='anonymizing', unit=' pictures', file=sys.stderr)
  for path, reason in plan.refused:
    _tell(bar, f'{shown(path)} {reason}')
  try:
    with bar:
      waiting: list[_Read] = []
      for number, (job, entry) in enumerate(zip(plan.jobs, entries, strict=True)):
        record = earlier.get(shown(job.target))
        if record and manifest.still_there(record, job.source, job.target):
          records[number] = record
          entry.status, entry.written = record['status'], True
          report.resumed += 1
          bar.update()
          continue
        with _refusing(entry, bar):
          waiting.append(_read(job, entry, anonymizer, reader, options))
        if entry.status == REFUSED:
          bar.update()
        if _full(waiting):
          _finish(waiting, anonymizer, options, bar)
          waiting = []
      _finish(waiting, anonymizer, options, bar)
  except KeyboardInterrupt:
    report.interrupted = True
  finally:
    if options.manifest:
      all_records = [records.get(n, entry.record()) for n, entry in enumerate(entries)]
      text = manifest.write_up(all_records, plan.refused, plan.ignored, options.settings)
      write_text_atomically(options.manifest, text)
  return report


def _read(
  job: Job, entry: Entry, anonymizer: Anonymizer, reader: Reader, options: Options
) -> _Read:
  """Reads a file and finds the faces of its frames.

  Raises:
    InferenceError: it cannot be read, the detector failed, or faces may have been missed.
  """
  entry.source_sha256 = manifest.sha256_of(job.source)
  picture = reader.read(job.source)
  entry.frames, entry.left_out = len(picture.frames), picture.left_out
  requests = [
    Request(frame, anonymizer.detect(frame), (), f'{job.source.name} {number}')
    for number, frame in enumerate(picture.frames)
  ]
  without = [number for number, request in enumerate(requests) if not request.faces]
  if 0 < len(without) < len(requests) and not options.allow_no_faces:
    raise InferenceError(
      f'{shown(job.source)}: no face was found in {len(without)} of its {len(requests)} frames '
      f'(frame {without[0]} is the first), and one may have been missed '
      'there; look at it, and give --allow-no-faces if there is none.'
    )
  return _Read(job, entry, picture, requests)


def _full(waiting: Sequence[_Read]) -> bool:
  requests = [request for read in waiting for request in read.requests]
  faces = sum(len(request.faces) for request in requests)
  return faces >= _BATCH_FACES or sum(r.image.size // 3 for r in requests) >= _BATCH_PIXELS


def _finish(waiting: Sequence[_Read], anonymizer: Anonymizer, options: Options, bar: Any) -> None:
  """Anonymizes what was read, in shared batches, and writes it."""
  results = anonymizer.anonymize_many([r for read in waiting for r in read.requests])
  for read in waiting:
    frames, results = results[: len(read.requests)], results[len(read.requests) :]
    read.entry.faces = [frame.faces for frame in frames]
    with _refusing(read.entry, bar):
      _write(read, frames, options)
    bar.update()


def _write(read: _Read, frames: Sequence[Anonymized], options: Options) -> None:
  """Writes one output.

  Raises:
    InferenceError: no face was found, or the file cannot be written.
  """
  entry, job, picture = read.entry, read.job, read.picture
  if not any(frame.faces for frame in frames):
    entry.status = NO_FACE
    if not options.allow_no_faces:
      entry.message = 'no face was found; not written'
      raise _NoFace(
        f'{shown(job.source)}: no face was found, so it was not written; look at it, and give '
        '--allow-no-faces if there is none.'
      )
  write_picture_file(
    job.target,
    [frame.image for frame in frames],
    job.kind,
    picture.durations,
    picture.loop,
    picture.capture.time if options.keep_time else None,
    picture.capture.position if options.keep_position else None,
  )
  entry.target_sha256 = manifest.sha256_of(job.target)
  entry.written = True
  if entry.status != NO_FACE:
    entry.status = ANONYMIZED


class _NoFace(InferenceError):
  """Nothing is wrong with the picture, but nobody may rely on there being no face."""


@contextlib.contextmanager
def _refusing(entry: Entry, bar: Any) -> Iterator[None]:
  """Turns what is wrong with one file into its entry; the others go on."""
  try:
    yield
  except _NoFace as error:
    _tell(bar, str(error))
  except (InferenceError, OSError, MemoryError) as error:
    message = ' '.join(str(error).split()) or type(error).__name__
    named = message if shown(entry.source) in message else f'{shown(entry.source)}: {message}'
    entry.status, entry.message = REFUSED, named
    _tell(bar, named)


def _tell(bar: Any, message: str) -> None:
  bar.write('anon-jax: ' + ' '.join(message.split()), file=sys.stderr)
