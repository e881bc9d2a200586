"""Who may talk to the page: only the page itself, opened by its own address, in its own browser.

Any web site can make a browser send requests to 127.0.0.1, under its own name (a foreign Origin)
or, by DNS rebinding, as if it were the page (a foreign Host). Other users of the machine can
connect, too. So Host and Origin are compared exactly, the address of the page holds a secret, and
whatever tells or does anything needs a token that only the page knows.
"""

import asyncio
import hmac
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anon_jax.serving.limits import Limits

TOKEN = 'x-anon-jax-token'
POLICY = '; '.join(
  (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    'media-src blob:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  )
)
HEADERS = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'permissions-policy': 'camera=(), microphone=(), geolocation=(), payment=(), usb=()',
  'cache-control': 'no-store',
  # one request a connection: the time limits of `server` begin anew with each
  'connection': 'close',
}
_UPLOAD = '/upload'


class Secrets(NamedTuple):
  """What a start of the page draws anew.

  Attributes:
    key: in the address that the terminal shows; opens the page.
    token: in the page; goes along with every request that tells or does anything.
  """

  key: str
  token: str

  @classmethod
  def draw(cls) -> 'Secrets':
    """Draws both from the system's cryptographic source."""
    return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(32))


class _Refusal(NamedTuple):
  status: int
  reason: str


class Guard:
  """Lets requests of the page through to an application, and none else.

  Args:
    app: what answers them.
    port: that the page is on.
    drawn: the secrets of this start.
    public: paths of files that hold nothing but the program.
    limits: of time.
  """

  def __init__(
    self, app: ASGIApp, port: int, drawn: Secrets, public: Mapping[str, object], limits: Limits
  ):
    self._app, self._secrets, self._public, self._limits = app, drawn, public, limits
    self._hosts = [f'{name}:{port}'.encode() for name in ('127.0.0.1', 'localhost')]

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    if scope['type'] != 'http':
      raise RuntimeError(f'a connection of type {scope["type"]!r}; the page speaks HTTP only.')
    started = False

    async def with_headers(message: Message) -> None:
      nonlocal started
      if message['type'] == 'http.response.start':
        started = True
        own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        set_here = {name for name, _ in own}
        theirs = [pair for pair in message.get('headers', []) if pair[0].lower() not in set_here]
        message = {**message, 'headers': [*theirs, *own]}
      await send(message)

    refusal = self._refusal(scope)
    if refusal is None:
      limits = self._limits
      is_upload = scope['path'] == _UPLOAD
      try:
        async with asyncio.timeout(limits.upload_seconds if is_upload else limits.answer_seconds):
          await self._app(scope, receive, with_headers)
        return
      except TimeoutError:
        if started:
          raise
        refusal = _Refusal(408, 'The request took too long; try it again.')
    answer = JSONResponse({'error': refusal.reason}, refusal.status)
    await answer(scope, receive, with_headers)

  def _refusal(self, scope: Scope) -> _Refusal | None:
    """Says why a request is not let through; None if it is."""
    host = _only(scope, 'host')
    if host not in self._hosts:
      return _Refusal(421, 'This Host is not the page; open the address in the terminal.')
    origins = _all(scope, 'origin')
    if origins not in ([], [b'http://' + host]) or (not origins and scope['method'] == 'POST'):
      return _Refusal(403, 'This Origin is not the page; open the address in the terminal.')
    path = scope['path']
    if path == '/':
      given = _query(scope)
      if hmac.compare_digest(given, b'key=' + self._secrets.key.encode()):
        return None
      return _Refusal(403, 'Open the address in the terminal: it has a key that this one has not.')
    sites = _all(scope, 'sec-fetch-site')
    if sites not in ([], [b'same-origin'], [b'none']):
      return _Refusal(403, 'This request comes from another site than the page.')
    if path in self._public and scope['method'] in ('GET', 'HEAD'):
      return None
    token = _only(scope, TOKEN)
    if token is None or not hmac.compare_digest(token, self._secrets.token.encode()):
      return _Refusal(
        403, 'The token is not that of this start; open the address in the terminal again.'
      )
    return None


def _all(scope: Scope, name: str) -> list[bytes]:
  return [value for key, value in scope['headers'] if key == name.encode()]


def _only(scope: Scope, name: str) -> bytes | None:
  """Returns the value of a header that is there once."""
  values = _all(scope, name)
  return values[0] if len(values) == 1 else None


def _query(scope: Scope) -> bytes:
  query: bytes = scope['query_string']
  return query
