"""Anonymizes one video: reads, detects, follows, replaces and writes, in constant memory.

Every frame of every track is replaced or covered: where the detector misses a face between two
detections, and a few frames before the first and after the last one, too (`tracking`).
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tqdm import tqdm

from anon_jax.inference import looks
from anon_jax.inference.bodies import Packed
from anon_jax.inference.body_anonymizer import beside
from anon_jax.inference.decisions import BodyDecision, Decision
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.listing import Job
from anon_jax.inference.manifest import ANONYMIZED, NO_FACE, Entry, sha256_of
from anon_jax.inference.mask_sources import Film
from anon_jax.inference.paths import shown
from anon_jax.inference.replacing import Ready, Replacing, without_doubles
from anon_jax.inference.track import Settings, Tracked
from anon_jax.inference.tracking import TrackedFrame, Tracker
from anon_jax.inference.video_detection import Search, Searched
from anon_jax.inference.video_reading import Frame, VideoReader
from anon_jax.inference.video_results import VideoResult
from anon_jax.inference.video_writing import VideoWriter

if TYPE_CHECKING:  # it imports jax, which the covering methods need not wait for
  from anon_jax.inference.anonymizer import Anonymizer
  from anon_jax.inference.body_anonymizer import BodyAnonymizer
  from anon_jax.inference.options import Options

# Frames are anonymized together until they have so many faces, or there are so many of them.
_FACES, _PIXELS = 16, 12_000_000


class NoFaceError(InferenceError):
  """A video in which no face was found."""


def anonymize_video(
  source: str | os.PathLike[str],
  target: str | os.PathLike[str],
  anonymizer: 'Anonymizer | BodyAnonymizer',
  *,
  sound: bool = False,
  codec: str = 'libx264',
  crf: int = 18,
  allow_no_faces: bool = False,
  name: str = '',
  film: Film | None = None,
  tell: Callable[[int], object] = lambda frames: None,
  expect: Callable[[int], object] = lambda frames: None,
) -> VideoResult:
  """Anonymizes a video file.

  Args:
    source: the file.
    target: where the result is put when all of it is written and checked; may be the source.
    anonymizer: with a detector.
    sound: copy the first audio stream as it is.
    codec: name of FFmpeg's encoder.
    crf: its constant rate factor.
    allow_no_faces: write a video in which no face was found, too.
    name: tells its faces from those of other files where a key is given.
    film: the masks of its bodies; with them `anonymizer` has to take bodies.
    tell: is given the number of frames that have been done since it was called before.
    expect: is given, before, how many frames the file says that it has, if it says so. Nothing
      else relies on that.

  Raises:
    NoFaceError: neither face nor body was found in any frame.
    InferenceError: the source cannot be read to its end, the detector failed, or the target cannot
      be written; nothing is.
  """
  with VideoReader(source) as reader:
    found = reader.outline
    if found.frames:
      expect(found.frames)
    with VideoWriter(
      target,
      found.width,
      found.height,
      found.time_base,
      aspect=found.aspect,
      colour=found.colour,
      rate=found.rate,
      codec=codec,
      crf=crf,
      sound_from=source if sound else None,
    ) as writer:
      work = _Work(anonymizer, writer, name, tell, film)
      with Search(anonymizer.detect, anonymizer.threads) as search:
        for frame in reader:
          work.take(search.push(frame))
        work.take(search.flush())
      work.finish()
      if film:
        film.finish()
      result = work.result
      if not result.found and not allow_no_faces:
        raise NoFaceError(
          f'no face was found in any of its {result.frames} frames, so it was not written; look at '
          'it, and give --allow-no-faces if there is none.'
        )
      result.sound, left_out = writer.sound, list(found.left_out)
      if result.sound:  # the first one is no longer left out
        left_out.remove(next(what for what in left_out if what.startswith('audio')))
      result.left_out = left_out
  return result


def do_job(
  job: Job, entry: Entry, anonymizer: 'Anonymizer | BodyAnonymizer', options: 'Options'
) -> None:
  """Does a job of a plan that is a video; `entry` learns what became of it.

  Raises:
    InferenceError: as `anonymize_video`.
  """
  # Before it is read: if it changes meanwhile, another run will see that and do it again.
  entry.source_sha256 = sha256_of(job.source)
  film = None
  if options.masks is not None:
    entry.masks_sha256 = options.masks.sha256_of(job.source)
    film = options.masks.film(job.source, 0)
  title = shown(job.source.name)
  with tqdm(desc=title, unit=' frames', file=sys.stderr, disable=None, leave=False) as bar:
    try:
      result = anonymize_video(
        job.source,
        job.target,
        anonymizer,
        sound=options.sound,
        codec=options.codec,
        crf=options.crf,
        allow_no_faces=options.allow_no_faces,
        name=job.source.name,
        film=film,
        tell=bar.update,
        expect=bar.reset,  # to nothing done, of so many
      )
    except NoFaceError:
      entry.status = NO_FACE
      raise
  entry.frames, entry.without_faces = result.frames, result.without_faces
  entry.tracks, entry.left_out = result.records(), result.left_out
  if film:
    entry.bodies, entry.body_tracks = (), result.body_records()
  entry.target_sha256 = sha256_of(job.target)
  entry.status = ANONYMIZED if result.found else NO_FACE
  entry.written = True


class _Work:
  """One video on its way."""

  def __init__(
    self,
    anonymizer: 'Anonymizer | BodyAnonymizer',
    writer: VideoWriter,
    name: str,
    tell: Callable[[int], object],
    film: Film | None,
  ):
    self._writer, self._tell, self._film = writer, tell, film
    self._replaced = Replacing(
      anonymizer, name, self._count, self._count_body, film.cast if film else None
    )
    self._tracker = Tracker(Settings(late=looks.PERIOD - 1))
    # read, and not yet back from the tracker
    self._late: deque[tuple[Frame, Sequence[Packed]]] = deque()
    self._ready: list[Ready] = []
    self.result = VideoResult()

  def take(self, searched: Sequence[Searched]) -> None:
    """Takes the next frames and the faces in them."""
    for each in searched:
      pixels = each.frame.pixels
      bodies = self._film.take(pixels) if self._film else []
      self._late.append((each.frame, [Packed(body) for body in bodies]))
      faces = beside(each.faces, bodies)
      size, thorough = (pixels.shape[1], pixels.shape[0]), not each.look.glance
      self._gather(self._tracker.push(faces, each.thumbnail, size, thorough))

  def finish(self) -> None:
    """Writes what is left after the last frame."""
    self._gather(self._tracker.flush())
    self._write()

  def _gather(self, followed: Sequence[TrackedFrame]) -> None:
    for frame in followed:
      late, packed = self._late.popleft()
      bodies = [body.unpacked() for body in packed]
      self._ready.append(Ready(late, without_doubles(frame), bodies))
      faces = sum(len(ready.followed.faces) + len(ready.bodies) for ready in self._ready)
      pixels = sum(ready.frame.pixels.size // 3 for ready in self._ready)
      if faces >= _FACES or pixels >= _PIXELS:
        self._write()

  def _write(self) -> None:
    """Anonymizes and writes the frames that are ready."""
    for (frame, followed, bodies), image in zip(
      self._ready, self._replaced(self._ready), strict=True
    ):
      self._writer.write(image, frame.time, frame.duration)
      self.result.frames += 1
      self.result.without_faces += not followed.faces and not bodies
      for number in followed.left_out:
        self.result.track(number, followed.index).leave_out()
    self._replaced.keep(self._tracker.alive)
    self._tell(len(self._ready))
    self._ready = []

  def _count_body(self, index: int, decision: BodyDecision) -> None:
    self.result.body(decision, index)

  def _count(self, index: int, tracked: Tracked, decision: Decision) -> None:
    track = self.result.track(tracked.track, index)
    track.states[tracked.state] += 1
    track.actions[decision.action] += 1
    if decision.reason:
      track.reasons[decision.reason] += 1
