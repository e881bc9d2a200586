"""Runs the page on 127.0.0.1 until it is stopped, and wipes what was dropped on it."""

import asyncio
import contextlib
import pathlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from anon_jax.inference.errors import InferenceError
from anon_jax.serving.app import Page, public_files
from anon_jax.serving.engine import Engine
from anon_jax.serving.folder import private_folder
from anon_jax.serving.guard import Guard, Secrets
from anon_jax.serving.items import Shelf
from anon_jax.serving.limits import Limits
from anon_jax.serving.work import Worker

HOST = '127.0.0.1'
_TICK = 10  # seconds between two looks at what nobody has asked for
_LINGER = 3  # seconds that requests in progress are given at the end


def listening(port: int) -> socket.socket:
  """Returns a socket that listens on 127.0.0.1, and nowhere else.

  Args:
    port: 0 lets the system choose one.

  Raises:
    InferenceError: another program has the port.
  """
  own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
  try:
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.bind((HOST, port))
    own.listen()
  except OSError as error:
    own.close()
    raise InferenceError(
      f'port {port} of {HOST} cannot be had ({error.strerror}); give another --port, or 0 for any.'
    ) from None
  return own


@contextlib.contextmanager
def served(
  own: socket.socket,
  engine: Engine,
  limits: Limits | None = None,
  root: pathlib.Path | None = None,
) -> Iterator[tuple[uvicorn.Server, str, Secrets]]:
  """Makes a page ready to run; on leaving, all that was dropped on it is gone.

  Args:
    own: what `listening` returned.
    engine: does what the page asks for.
    limits: on what it takes.
    root: of its private folder; None takes the system's folder for temporary files.

  Yields:
    the server, whose `run(sockets=[own])` serves until it is stopped; the address to be opened; and
    the secrets.
  """
  limits, port, drawn = limits or Limits(), own.getsockname()[1], Secrets.draw()
  with private_folder(root) as folder:
    shelf = Shelf(folder, limits)
    with Worker(engine, shelf, limits) as worker:
      public = public_files()
      app = Page(engine, shelf, worker, drawn, public, limits).app()
      guard = Guard(app, port, drawn, public, limits)

      async def tidy() -> None:
        shelf.forget_untouched()

      server = uvicorn.Server(_config(guard, limits, tidy))
      yield server, f'http://{HOST}:{port}/?key={drawn.key}', drawn


def _config(guard: Guard, limits: Limits, tidy: Callable[[], Any]) -> uvicorn.Config:
  class Protocol(H11Protocol):
    """Closes connections on which no request begins."""

    def connection_made(self, transport: Any) -> None:
      super().connection_made(transport)
      loop = asyncio.get_running_loop()
      self._late = loop.call_later(limits.head_seconds, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
      self._late.cancel()
      super().connection_lost(exc)

    def _close_if_idle(self) -> None:
      if self.cycle is None:
        self.transport.abort()

  return uvicorn.Config(
    guard,
    http=Protocol,
    ws='none',
    loop='asyncio',
    lifespan='off',
    log_level='warning',
    access_log=False,
    server_header=False,
    # nobody stands between the browser and the page
    proxy_headers=False,
    limit_concurrency=limits.connections,
    h11_max_incomplete_event_size=limits.head_bytes,
    timeout_graceful_shutdown=_LINGER,
    callback_notify=tidy,
    timeout_notify=_TICK,
  )
