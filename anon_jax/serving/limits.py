"""How much of anything the page takes: whoever reaches it must not fill memory, disk or time."""

import dataclasses

from anon_jax.inference import decoding


@dataclasses.dataclass(frozen=True)
class Limits:
  """Bounds; what exceeds one is refused with a message that names it.

  A request holds one file or one JSON text, never parts of a form. Pictures are bounded by their
  reader, too (`inference.decoding`): it checks their pixels before it decodes any.

  Attributes:
    file_bytes: of one file.
    all_bytes: of all files that are held at a time.
    json_bytes: of a request that is no file.
    head_bytes: of a request's lines before its body.
    files: that are held at a time.
    waiting: jobs behind the one that is being done.
    faces: of a picture, found and drawn.
    clip_pixels: of a frame of a clip.
    clip_frames: of a clip.
    clip_seconds: that a clip may take to be anonymized.
    head_seconds: until the lines before the body are there.
    idle_seconds: between two portions of a body.
    upload_seconds: of one upload.
    answer_seconds: of any other request, its answer included.
    keep_seconds: since anybody asked for it, until a file is forgotten.
    connections: at a time.
  """

  file_bytes: int = 256 << 20
  all_bytes: int = 1 << 30
  json_bytes: int = 64 << 10
  head_bytes: int = 16 << 10
  files: int = 16
  waiting: int = 16  # all that are held: of many files dropped at once none is refused
  faces: int = 300
  clip_pixels: int = 9_000_000
  clip_frames: int = 9_000
  clip_seconds: float = 7200.0
  head_seconds: float = 10.0
  idle_seconds: float = 20.0
  upload_seconds: float = 600.0
  answer_seconds: float = 120.0
  keep_seconds: float = 3600.0
  connections: int = 32

  def told(self) -> dict[str, int]:
    """Returns what the page tells people before they drop anything."""
    return {
      'file_bytes': self.file_bytes,
      'files': self.files,
      'picture_pixels': decoding.MAX_PIXELS,
      'clip_frames': self.clip_frames,
    }
