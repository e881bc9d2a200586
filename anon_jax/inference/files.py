"""Anonymizes files: reads, detects, replaces, writes, and says what became of each."""

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from anon_jax.inference import decoding, manifest
from anon_jax.inference.bodies import Body
from anon_jax.inference.decisions import Anonymized, Cast, Request
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.listing import VIDEO, Job, Plan
from anon_jax.inference.manifest import ANONYMIZED, NO_FACE, NOT_REACHED, REFUSED, Entry
from anon_jax.inference.options import Options, Report
from anon_jax.inference.paths import identity, shown
from anon_jax.inference.reading import PictureFile, Reader
from anon_jax.inference.writing import write_picture_file, write_text_atomically

if TYPE_CHECKING:  # it imports jax, which the covering methods need not wait for
  from anon_jax.inference.anonymizer import Anonymizer
  from anon_jax.inference.body_anonymizer import BodyAnonymizer

# A batch is closed when it has so many pixels, too: memory does not grow with the number of files.
_BATCH_PIXELS = 12_000_000
# The manifest is written so often, so that a run that is killed can be gone on from as well.
_SAVE_SECONDS = 60.0
# What may be wrong with one file. RuntimeError: XLA's own, as when its device has no memory left.
_FAILURES = (InferenceError, OSError, MemoryError, RuntimeError)


@dataclasses.dataclass
class _Read:
  """A picture file with its faces, waiting for its batch."""

  job: Job
  entry: Entry
  picture: PictureFile
  requests: list[Request]


def anonymize_files(
  plan: Plan, anonymizer: 'Anonymizer | BodyAnonymizer', reader: Reader, options: Options
) -> Report:
  """Does the jobs of a plan; one that fails is named and the others go on.

  A target appears whole or not at all. The manifest is written before the first job, every minute,
  when all is done, and also when the run is broken off.

  Raises:
    InferenceError: the manifest cannot be written, or would overwrite another file.
  """
  run = _Run(plan, anonymizer, reader, options)
  run.save()
  try:
    with run.bar:
      run.do_jobs()
  except KeyboardInterrupt:
    run.report.interrupted = True
  finally:
    run.save()
  return run.report


class _Run:
  """One call of `anonymize_files`."""

  def __init__(
    self,
    plan: Plan,
    anonymizer: 'Anonymizer | BodyAnonymizer',
    reader: Reader,
    options: Options,
  ):
    self._plan, self._anonymizer, self._reader, self._options = plan, anonymizer, reader, options
    self._key_check, earlier = '', dict[str, dict[str, Any]]()
    if options.manifest:
      earlier = manifest.resumable(options.manifest, options.settings, options.key)
      self._key_check = manifest.key_check(options.key)
    entries = [Entry(j.source, j.target, earlier=earlier.get(shown(j.target))) for j in plan.jobs]
    self.report = Report(entries, plan.refused)
    # disable=None: a log gets no bars, only what is said of single files
    self.bar = tqdm(
      total=len(plan.jobs), desc='anonymizing', unit=' pictures', file=sys.stderr, disable=None
    )

  def do_jobs(self) -> None:
    """Goes through the jobs, in batches."""
    for path, reason in self._plan.refused:
      self._tell(f'{shown(path)} {reason}')
    waiting: list[_Read] = []
    for job, entry in zip(self._plan.jobs, self.report.entries, strict=True):
      if self._is_done(job, entry):
        entry.resume()
        self.report.resumed += 1
        self.bar.update()
        continue
      with self._refusing(entry):
        if job.kind == VIDEO:
          # here and not above: it imports PyAV, which pictures need not wait for
          from anon_jax.inference import videos

          videos.do_job(job, entry, self._anonymizer, self._options)
        else:
          waiting.append(self._read(job, entry))
      if entry.status != NOT_REACHED:
        self.bar.update()
      if _full(waiting, self._options.batch_faces):
        self._finish(waiting)
        waiting = []
      if time.monotonic() - self._saved > _SAVE_SECONDS:
        self.save()
    if waiting:
      self._finish(waiting)

  def save(self) -> None:
    """Writes the manifest as things stand.

    Raises:
      InferenceError: it cannot be written.
    """
    options = self._options
    if options.manifest:
      records = [entry.record() for entry in self.report.entries]
      plan, settings = self._plan, options.settings
      text = manifest.write_up(records, plan.refused, plan.ignored, settings, self._key_check)
      write_text_atomically(options.manifest, text)
    self._saved = time.monotonic()

  def _is_done(self, job: Job, entry: Entry) -> bool:
    """Tells whether an earlier run has done what this one would do."""
    record = entry.earlier
    if record is None:
      return False
    if manifest.has_frame_without_face(record) and not self._options.allow_no_faces:
      return False
    masks = self._options.masks
    if masks is not None and not manifest.same_masks(record, masks, job.source):
      return False
    return manifest.still_there(record, job.source, job.target)

  def _read(self, job: Job, entry: Entry) -> _Read:
    """Reads a file, finds the faces of its frames and takes their masks.

    Raises:
      InferenceError: it cannot be read, the detector failed, masks are missing, or faces or bodies
        may have been missed.
    """
    # Before it is read: if it changes meanwhile, another run will see that and do it again.
    entry.source_sha256 = manifest.sha256_of(job.source, decoding.MAX_BYTES)
    picture = self._reader.read(job.source)
    entry.frames, entry.left_out = len(picture.frames), picture.left_out
    bodies, cast = self._bodies(job, entry, picture)
    requests = [
      Request(
        frame,
        self._anonymizer.detect(frame),
        (),
        f'{job.source.name} {number}',
        bodies=bodies[number],
        body_cast=cast,
      )
      for number, frame in enumerate(picture.frames)
    ]
    without = [n for n, each in enumerate(requests) if not each.faces and not each.bodies]
    if without and not self._options.allow_no_faces:
      where = ''
      if len(requests) > 1:
        where = f' in {len(without)} of its {len(requests)} frames (first in frame {without[0]})'
      entry.status = NO_FACE if len(without) == len(requests) else REFUSED
      raise InferenceError(
        f'no face was found{where}, so it was not written; look at it, and give --allow-no-faces '
        'if there is none.'
      )
    return _Read(job, entry, picture, requests)

  def _bodies(
    self, job: Job, entry: Entry, picture: PictureFile
  ) -> tuple[Sequence[Sequence[Body]], Cast | None]:
    """Returns the bodies of each frame of a picture, and what they remember."""
    masks = self._options.masks
    if masks is None:
      return [()] * len(picture.frames), None
    entry.masks_sha256 = masks.sha256_of(job.source)
    film = masks.film(job.source, len(picture.frames))
    bodies = [film.take(frame) for frame in picture.frames]
    film.finish()
    return bodies, film.cast

  def _finish(self, waiting: Sequence[_Read]) -> None:
    """Anonymizes what was read, in shared batches, and writes it."""
    try:
      requests = [request for read in waiting for request in read.requests]
      results = self._anonymizer.anonymize_many(requests)
    except _FAILURES as error:
      if len(waiting) > 1:
        for read in waiting:  # one picture's trouble is not the others'
          self._finish([read])
      else:
        self._refuse(waiting[0].entry, error)
        self.bar.update()
      return
    for read in waiting:
      frames, results = results[: len(read.requests)], results[len(read.requests) :]
      with self._refusing(read.entry):
        self._write(read, frames)
      self.bar.update()

  def _write(self, read: _Read, frames: Sequence[Anonymized]) -> None:
    """Writes one output.

    Raises:
      InferenceError: the file cannot be written.
    """
    entry, job, picture, options = read.entry, read.job, read.picture, self._options
    entry.faces = [frame.faces for frame in frames]
    if options.masks is not None:
      entry.bodies = [frame.bodies for frame in frames]
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
    entry.status = ANONYMIZED if any(f.faces or f.bodies for f in frames) else NO_FACE
    entry.written = True

  @contextlib.contextmanager
  def _refusing(self, entry: Entry) -> Iterator[None]:
    """Turns what is wrong with one file into its entry; the others go on."""
    try:
      yield
    except _FAILURES as error:
      self._refuse(entry, error)

  def _refuse(self, entry: Entry, error: BaseException) -> None:
    """Says why a file was not written."""
    message = shown(' '.join(str(error).split()) or type(error).__name__)
    if shown(entry.source) not in message:
      message = f'{shown(entry.source)}: {message}'
    if os.path.lexists(entry.target) and identity(entry.target) != identity(entry.source):
      message += f' (an older {shown(entry.target)} is still there)'
    entry.message = message
    if entry.status == NOT_REACHED:
      entry.status = REFUSED
    self._tell(message)

  def _tell(self, message: str) -> None:
    self.bar.write('anon-jax: ' + ' '.join(message.split()), file=sys.stderr)


def _full(waiting: Sequence[_Read], most_faces: int) -> bool:
  requests = [request for read in waiting for request in read.requests]
  faces = sum(len(request.faces) + len(request.bodies) for request in requests)
  return faces >= most_faces or sum(r.image.size // 3 for r in requests) >= _BATCH_PIXELS
