"""Does what the page asks for, one job at a time, on a thread of its own."""

import contextlib
import functools
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from anon_jax.inference import structure
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown
from anon_jax.inference.reading import Reader
from anon_jax.nets.frozen import WeightsError
from anon_jax.serving import clips, pictures
from anon_jax.serving.asking import Asked
from anon_jax.serving.engine import Engine
from anon_jax.serving.items import DONE, FAILED, HELD, NO_FACE, FullError, Item, Shelf
from anon_jax.serving.limits import Limits

log = logging.getLogger('anon_jax')

# What may be wrong with one file. RuntimeError: XLA's own, as when its device has no memory left.
_FAILURES = (InferenceError, WeightsError, OSError, MemoryError, RuntimeError)
_UNKNOWN = 'Something went wrong that the page does not know; the terminal tells what.'


class Worker:
  """Does jobs in the order in which they come; a context manager.

  Args:
    engine: does them.
    shelf: holds the files.
    limits: on how many wait, and what each may take.
  """

  def __init__(self, engine: Engine, shelf: Shelf, limits: Limits):
    self._engine, self._shelf, self._limits = engine, shelf, limits
    self._waiting, self._lock = 0, threading.Lock()

  def __enter__(self) -> 'Worker':
    with contextlib.ExitStack() as stack:
      self._reader = stack.enter_context(Reader())
      self._pool = ThreadPoolExecutor(1, 'anon-jax-worker')
      stack.callback(self._pool.shutdown, cancel_futures=True)
      stack.callback(self._shelf.stop_all)
      self._warming = stack.enter_context(ThreadPoolExecutor(1, 'anon-jax-warming'))
      self._warming.submit(self._warm_up)
      self._stack = stack.pop_all()
    return self

  def __exit__(self, *_: object) -> None:
    self._stack.close()

  def submit(self, item: Item, asked: Asked) -> None:
    """Puts a job at the end of the queue.

    Raises:
      FullError: too many wait, or one of this item does.
    """
    with self._lock:
      if self._waiting >= self._limits.waiting:
        raise FullError(f'{self._waiting} jobs are waiting already; try it again when one is done.')
      if not self._shelf.queue(item):
        raise FullError('This file is being worked on; wait until that is done.')
      self._waiting += 1
    job = self._pool.submit(self._do, item, asked)
    job.add_done_callback(functools.partial(self._settle_unknown, item))

  def _warm_up(self) -> None:
    try:
      self._engine.warm_up()
    except _FAILURES as error:  # the first job will say so to whoever asked for it
      log.warning('The networks could not be tried: %s', error)

  def _do(self, item: Item, asked: Asked) -> None:
    """Does one job; whatever is wrong with it is told by its item."""
    with self._lock:
      self._waiting -= 1
    if not self._shelf.begin(item):
      return
    state, message = FAILED, ''
    try:
      if _is_picture(item):
        pictures.anonymize(item, asked, self._engine, self._reader)
      else:
        clips.anonymize(item, asked, self._engine, self._limits)
      state = DONE
    except pictures.NothingToReplace as outcome:
      state, message = NO_FACE, str(outcome)
    except clips.Stopped:
      state = HELD
    except _FAILURES as error:
      message = _said(error, item)
    self._shelf.settle(item, state, message)

  def _settle_unknown(self, item: Item, job: Future[None]) -> None:
    """Notes what no job should end with: the page must not wait for it for ever."""
    error = None if job.cancelled() else job.exception()
    if error:
      log.error('%s', shown(item.name), exc_info=error)
      self._shelf.settle(item, FAILED, _UNKNOWN)


def _is_picture(item: Item) -> bool:
  """Tells pictures, also of kinds that are refused by name, from what may be a clip."""
  with item.path.open('rb') as file:
    head = file.read(16)
  return structure.kind_of(head) is not None or structure.is_heif(head)


def _said(error: BaseException, item: Item) -> str:
  """Returns what the page says of an error: without the place where the file is held."""
  message = ' '.join(str(error).split()) or type(error).__name__
  for place in (item.path, item.folder / 'result', item.folder):
    message = message.replace(shown(place), shown(item.name))
  return message
