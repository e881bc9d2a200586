"""What the page can ask for: fixed paths only, of which no part names a file."""

import asyncio
import json
import pathlib
import re
import unicodedata
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

import anon_jax
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown
from anon_jax.serving import asking
from anon_jax.serving.engine import Engine
from anon_jax.serving.guard import Secrets
from anon_jax.serving.items import DONE, HELD, FullError, Item, Shelf
from anon_jax.serving.limits import Limits
from anon_jax.serving.work import Worker

NAME = 'x-anon-jax-name'
_LONGEST_NAME = 120
_FILES = pathlib.Path(__file__).parent / 'page'
_KINDS = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}
_START = 'page.html'
Public = dict[str, tuple[bytes, str]]


def public_files() -> Public:
  """Returns the page's files but the first, which holds the token: by path, bytes and kind."""
  return {
    f'/{path.name}': (path.read_bytes(), _KINDS[path.suffix])
    for path in sorted(_FILES.iterdir())
    if path.suffix in _KINDS and path.name != _START
  }


class Page:
  """Answers requests that the guard has let through.

  Args:
    engine: for what it can do.
    shelf: holds the files.
    worker: does what is asked for.
    drawn: secrets of this start.
    public: by path.
    limits: on what is taken.
  """

  def __init__(
    self,
    engine: Engine,
    shelf: Shelf,
    worker: Worker,
    drawn: Secrets,
    public: Public,
    limits: Limits,
  ):
    self._engine, self._shelf, self._worker, self._limits = engine, shelf, worker, limits
    start = (_FILES / _START).read_text('utf-8')
    self._start = start.replace('{token}', drawn.token).encode()
    self._public = public

  def app(self) -> Starlette:
    """Returns the application."""
    routes = [
      Route('/', self._first, methods=['GET']),
      *(Route(path, self._file, methods=['GET']) for path in self._public),
      Route('/about', self._about, methods=['GET']),
      Route('/upload', self._upload, methods=['POST']),
      Route('/anonymize', self._anonymize, methods=['POST']),
      Route('/forget', self._forget, methods=['POST']),
      Route('/state', self._of_item(self._state), methods=['GET']),
      Route('/before', self._of_item(self._before), methods=['GET']),
      Route('/after', self._of_item(self._after), methods=['GET']),
      Route('/result', self._of_item(self._result), methods=['GET']),
      Route('/manifest', self._of_item(self._manifest), methods=['GET']),
    ]
    handlers: dict[Any, Any] = {
      HTTPException: _told,
      InferenceError: _told,
      FullError: _told,
      ClientDisconnect: _told,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app

  async def _first(self, request: Request) -> Response:
    return Response(self._start, media_type=_KINDS['.html'])

  async def _file(self, request: Request) -> Response:
    content, kind = self._public[request.url.path]
    return Response(content, headers={'content-type': kind})

  async def _about(self, request: Request) -> Response:
    return JSONResponse(
      {
        'version': anon_jax.__version__,
        'methods': list(self._engine.methods),
        'identities': self._engine.identities,
        'limits': self._limits.told(),
      }
    )

  async def _upload(self, request: Request) -> Response:
    """Takes one file, as the whole body: there are no parts, and its name is only a label."""
    _require_kind(request, 'application/octet-stream')
    length = request.headers.get('content-length', '')
    if not re.fullmatch(r'[0-9]{1,15}', length):
      raise HTTPException(411, 'The request does not say how long it is.')
    size, most = int(length), self._limits.file_bytes
    if size > most:
      raise HTTPException(413, f'The file has more than {most >> 20} MiB; make it smaller.')
    if not size:
      raise HTTPException(400, 'The file is empty.')
    item = self._shelf.new(_label(request.headers.get(NAME, '')), size)
    try:
      with item.path.open('xb') as file:
        async for chunk in self._chunks(request):
          file.write(chunk)
          if file.tell() > size:
            raise HTTPException(413, 'The request is longer than it says.')
      if item.path.stat().st_size != size:
        raise HTTPException(400, 'The request is shorter than it says.')
    except BaseException:
      self._shelf.forget(item)
      raise
    self._shelf.settle(item, HELD)
    return JSONResponse(item.told(), 201)

  async def _anonymize(self, request: Request) -> Response:
    body = await self._json(request)
    item = self._item(body.get('id'))
    asked = asking.read(body, self._engine.methods, self._limits.faces)
    self._engine.anonymizer(asked.method, asked.identity)  # an identity that is none is told now
    if asked.boxes is not None:
      if item.found is None or item.size is None:
        raise InferenceError('this file has not been searched yet; wait until it is.')
      asking.settled(asked, item.found, item.size)
    self._worker.submit(item, asked)
    return JSONResponse(item.told(), 202)

  async def _forget(self, request: Request) -> Response:
    body = await self._json(request)
    self._shelf.forget(self._item(body.get('id')))
    return JSONResponse({})

  async def _state(self, item: Item) -> Response:
    return JSONResponse(item.told())

  async def _before(self, item: Item) -> Response:
    return _picture(item.before)

  async def _after(self, item: Item) -> Response:
    return _picture(item.after if item.state == DONE else b'')

  async def _result(self, item: Item) -> Response:
    result = item.result
    if item.state != DONE or result is None:
      raise HTTPException(409, 'There is no result yet.')
    # a kind that no browser shows by itself
    return FileResponse(result, headers={'content-type': 'application/octet-stream'})

  async def _manifest(self, item: Item) -> Response:
    if item.state != DONE:
      raise HTTPException(409, 'There is no manifest yet.')
    return Response(item.manifest, headers={'content-type': 'application/json'})

  def _of_item(
    self, answer: Callable[[Item], Awaitable[Response]]
  ) -> Callable[[Request], Awaitable[Response]]:
    """Hands the item of a request to what answers it."""

    async def handle(request: Request) -> Response:
      return await answer(self._item(request.query_params.get('id')))

    return handle

  def _item(self, own: Any) -> Item:
    item = self._shelf.get(own) if isinstance(own, str) else None
    if item is None:
      raise HTTPException(404, 'This file is not held any more; drop it again.')
    return item

  async def _json(self, request: Request) -> dict[str, Any]:
    """Reads a JSON object of a bounded length."""
    _require_kind(request, 'application/json')
    content = b''
    async for chunk in self._chunks(request):
      content += chunk
      if len(content) > self._limits.json_bytes:
        raise HTTPException(413, 'The request is too long; draw fewer boxes.')
    try:
      body = json.loads(content)
    except (ValueError, RecursionError):
      raise HTTPException(400, 'The request is no JSON; reload the page.') from None
    if not isinstance(body, dict):
      raise HTTPException(400, 'The request is no object; reload the page.')
    return body

  async def _chunks(self, request: Request) -> Any:
    """Yields a body's portions, none of which may be long in coming."""
    stream = aiter(request.stream())
    while True:
      try:
        async with asyncio.timeout(self._limits.idle_seconds):
          chunk = await anext(stream, None)
      except TimeoutError:
        raise HTTPException(408, 'The upload stands still; try it again.') from None
      if chunk is None:
        return
      yield chunk


def _require_kind(request: Request, wanted: str) -> None:
  """Refuses forms, whose kinds a foreign site can send without being asked whether it may."""
  if request.headers.getlist('content-type') != [wanted]:
    raise HTTPException(415, f'The request is not {wanted}; reload the page.')


def _label(given: str) -> str:
  """Returns a file's name for people: one line, without folders, of a bounded length."""
  try:
    name = urllib.parse.unquote(given[: 9 * _LONGEST_NAME], errors='strict')
  except ValueError:
    name = ''
  name = re.split(r'[/\\]', unicodedata.normalize('NFC', name))[-1]
  name = shown(name.encode('utf-8', 'backslashreplace').decode()).strip()
  stem, dot, suffix = name[-2 * _LONGEST_NAME :].rpartition('.')
  short = f'{stem[:_LONGEST_NAME]}{dot}{suffix[:10]}' if stem else name[:_LONGEST_NAME]
  return short or 'unnamed'


def _picture(content: bytes) -> Response:
  if not content:
    raise HTTPException(409, 'There is no such picture yet.')
  return Response(content, media_type='image/jpeg')


async def _told(request: Request, error: Exception) -> Response:
  """Turns an error into one line for the page."""
  status, message = 400, ' '.join(str(error).split())
  if isinstance(error, HTTPException):
    status, message = error.status_code, error.detail
  elif isinstance(error, FullError):
    status = 429
  elif isinstance(error, ClientDisconnect):
    message = 'The upload was broken off.'
  return JSONResponse({'error': message[:1].upper() + message[1:]}, status)
