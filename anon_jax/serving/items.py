"""What was dropped on the page, as long as it is held."""

import dataclasses
import pathlib
import secrets
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from anon_jax.inference.faces import Face
from anon_jax.serving.limits import Limits

PICTURE, CLIP = 'picture', 'clip'
ARRIVING, HELD, WAITING, WORKING = 'arriving', 'held', 'waiting', 'working'
DONE, NO_FACE, FAILED = 'done', 'no face', 'failed'
_BUSY = (ARRIVING, WAITING, WORKING)


class FullError(Exception):
  """There is no room for more; the message says what to do."""


@dataclasses.dataclass(eq=False)
class Item:
  """One file.

  Attributes:
    id: by which the page asks for it: nobody can guess it.
    name: of the file as its owner calls it; it is shown and noted, and is no path.
    folder: of its own, below the private one.
    length: bytes of the file.
    state: 'arriving', 'held', 'waiting', 'working', 'done', 'no face' or 'failed'.
    stage: what is being done, for people.
    done: frames of a clip that have been done.
    expected: frames that the clip says it has; 0 if it does not.
    began: when the work on it began, on time.monotonic's clock.
    message: why it failed, or has no result; '' otherwise.
    kind: 'picture' or 'clip'; '' until that is known.
    size: width and height in pixels, upright; None until they are known.
    found: the detector's faces of a picture; None until it has been searched.
    faces: what became of each face, for the page, which is what the manifest says, too.
    before: the picture or first frame as it came, made smaller, JPEG.
    after: the same of the result.
    result: where the finished file is; None as long as there is none to be given out.
    manifest: text of the manifest of the result.
    touched: when it was last asked for, on time.monotonic's clock.
    stopped: set where nobody wants it any more.
  """

  id: str
  name: str
  folder: pathlib.Path
  length: int
  state: str = ARRIVING
  stage: str = ''
  done: int = 0
  expected: int = 0
  began: float = 0.0
  message: str = ''
  kind: str = ''
  size: tuple[int, int] | None = None
  found: list[Face] | None = None
  faces: Sequence[Mapping[str, Any]] = ()
  before: bytes = b''
  after: bytes = b''
  result: pathlib.Path | None = None
  manifest: str = ''
  touched: float = dataclasses.field(default_factory=time.monotonic)
  stopped: threading.Event = dataclasses.field(default_factory=threading.Event)

  @property
  def path(self) -> pathlib.Path:
    """Where its file lies; the name is the same for all."""
    return self.folder / 'given'

  @property
  def busy(self) -> bool:
    """Whether something is being done with it."""
    return self.state in _BUSY

  def withdraw(self) -> None:
    """Takes back what was made of it before."""
    result, self.result = self.result, None
    self.manifest, self.after, self.message, self.faces = '', b'', '', ()
    self.done = self.expected = 0
    if result:
      result.unlink(missing_ok=True)

  def told(self) -> dict[str, Any]:
    """Returns what the page is told of it."""
    seconds = time.monotonic() - self.began if self.state == WORKING else 0.0
    return {
      'id': self.id,
      'name': self.name,
      'kind': self.kind,
      'state': self.state,
      'stage': self.stage,
      'done': self.done,
      'expected': self.expected,
      'seconds': round(seconds, 1),
      'message': self.message,
      'size': self.size,
      'faces': list(self.faces),
      'has_before': bool(self.before),
      'suffix': self.result.suffix if self.result else '',
    }


class Shelf:
  """Holds the items of one start.

  Args:
    folder: private; each item gets a folder of its own in it.
    limits: on their number, their bytes, and how long they are held.
  """

  def __init__(self, folder: pathlib.Path, limits: Limits):
    self._folder, self._limits = folder, limits
    self._items: dict[str, Item] = {}
    self._lock = threading.Lock()

  def new(self, name: str, size: int) -> Item:
    """Makes room for a file of so many bytes.

    Raises:
      FullError: there are too many, or they are too large together.
    """
    self.forget_untouched()
    with self._lock:
      held = self._items.values()
      if len(held) >= self._limits.files:
        raise FullError(f'{len(held)} files are held already; remove some of them first.')
      if sum(item.length for item in held) + size > self._limits.all_bytes:
        most = self._limits.all_bytes >> 20
        raise FullError(f'All files together would exceed {most} MiB; remove some of them first.')
      own = secrets.token_urlsafe(16)
      folder = self._folder / secrets.token_hex(8)
      folder.mkdir(0o700)
      item = self._items[own] = Item(own, name, folder, size)
      return item

  def get(self, own: str) -> Item | None:
    """Returns the item of an id, which counts as asked for now; None if there is none."""
    with self._lock:
      item = self._items.get(own)
      if item:
        item.touched = time.monotonic()
      return item

  def forget(self, item: Item) -> None:
    """Wipes an item; what is being done with it is broken off, and wiped then."""
    with self._lock:
      item.stopped.set()
      self._items.pop(item.id, None)
      if item.state != WORKING:
        _wipe(item)

  def queue(self, item: Item) -> bool:
    """Marks an item as waiting to be worked on; False if it is busy already, or forgotten."""
    with self._lock:
      if item.busy or item.stopped.is_set():
        return False
      item.state, item.stage, item.message = WAITING, '', ''
      return True

  def begin(self, item: Item) -> bool:
    """Marks an item as being worked on, and takes back what was made of it before.

    Returns:
      False if it was forgotten while it waited.
    """
    with self._lock:
      if item.stopped.is_set():
        return False
      item.withdraw()
      item.state, item.began = WORKING, time.monotonic()
      return True

  def settle(self, item: Item, state: str, message: str = '') -> None:
    """Notes what became of an item; if it was to be forgotten meanwhile, it is wiped now."""
    with self._lock:
      if state != DONE:
        item.withdraw()
      item.state, item.message = state, message
      if item.stopped.is_set():
        _wipe(item)

  def forget_untouched(self) -> None:
    """Wipes what nobody has asked for during a long time."""
    oldest = time.monotonic() - self._limits.keep_seconds
    with self._lock:
      old = [i for i in self._items.values() if i.touched < oldest and not i.busy]
    for item in old:
      self.forget(item)

  def stop_all(self) -> None:
    """Breaks off whatever is being done."""
    with self._lock:
      for item in self._items.values():
        item.stopped.set()


def _wipe(item: Item) -> None:
  item.withdraw()
  item.before, item.found = b'', None
  shutil.rmtree(item.folder, ignore_errors=True)
