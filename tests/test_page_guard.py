"""Who may talk to the page: not another site, not another name, not an earlier start."""

import re

import pytest
from running_page import running

from anon_jax.serving import app
from anon_jax.serving.guard import HEADERS, Secrets

PATHS = ('/', '/about', '/state?id=x', '/result?id=x', '/manifest?id=x', '/page.css', '/page.js')
POSTS = ('/upload', '/anonymize', '/forget')


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  with running(tmp_path_factory.mktemp('guard')) as client:
    yield client


def _first(page):
  return f'/?key={page.drawn.key}'


@pytest.mark.parametrize(
  'host',
  [
    'evil.example',
    'evil.example:{}',
    '127.0.0.1',
    'localhost',
    '127.0.0.1:1',
    '[::1]:{}',
    '127.0.0.1.:{}',
    'x@127.0.0.1:{}',
    '127.0.0.2:{}',
    '0.0.0.0:{}',
    '127.0.0.1:{} ',
    '',
  ],
)
@pytest.mark.parametrize('path', [*PATHS, 'first', *POSTS])
def test_a_host_that_is_not_exactly_the_page_is_refused(page, path, host):
  method = 'POST' if path in POSTS else 'GET'
  given = host.format(page.port)
  path = _first(page) if path == 'first' else path
  status, _, _ = page.ask(method, path, b'{}' if method == 'POST' else None, host=given)
  if given == f'127.0.0.1:{page.port} ':  # white space around a value is no part of it
    assert status != 421
  else:
    assert status == 421


def test_a_site_that_rebinds_its_name_to_this_machine_is_refused_even_with_the_token(page):
  host = f'evil.example:{page.port}'
  status, told = page.told('POST', '/anonymize', {'id': 'x'}, host=host, origin=f'http://{host}')
  assert status == 421
  assert 'Host' in told['error']


def test_both_names_of_this_machine_are_the_page(page):
  for host in (f'127.0.0.1:{page.port}', f'localhost:{page.port}'):
    assert page.ask('GET', _first(page), host=host)[0] == 200
    assert page.ask('POST', '/forget', {'id': 'x'}, host=host, origin=f'http://{host}')[0] == 404


@pytest.mark.parametrize(
  'origin',
  [
    'http://evil.example',
    'null',
    'https://127.0.0.1:{}',
    'http://127.0.0.1',
    'http://localhost:{}',
    'http://127.0.0.1:1',
    'http://127.0.0.1:{}/',
    '',
    None,
  ],
)
@pytest.mark.parametrize('path', POSTS)
def test_a_post_of_another_origin_or_of_none_is_refused(page, path, origin):
  given = None if origin is None else origin.format(page.port)
  status, told = page.told('POST', path, b'{}', origin=given)
  assert status == 403
  assert 'Origin' in told['error']


def test_two_origins_are_refused_though_one_is_right(page):
  own = f'http://{page.host}'
  assert page.ask('POST', '/forget', b'{}', origin=[own, own])[0] == 403
  assert page.ask('POST', '/forget', b'{}', origin=[own, 'http://evil.example'])[0] == 403


@pytest.mark.parametrize('path', [*PATHS[1:], 'first'])
def test_a_get_of_another_origin_is_refused(page, path):
  path = _first(page) if path == 'first' else path
  assert page.ask('GET', path, origin='http://evil.example')[0] == 403


@pytest.mark.parametrize('site', ['cross-site', 'same-site', 'nonsense'])
def test_what_the_browser_says_comes_from_another_site_is_refused(page, site):
  assert page.ask('GET', '/about', sec_fetch_site=site)[0] == 403
  assert page.ask('GET', '/page.js', sec_fetch_site=site)[0] == 403
  assert page.ask('POST', '/forget', b'{}', sec_fetch_site=site)[0] == 403
  assert page.ask('GET', '/about', sec_fetch_site='same-origin')[0] == 200


@pytest.mark.parametrize('path', PATHS[1:5])
def test_what_tells_anything_needs_the_token(page, path):
  old = Secrets.draw().token
  for token in (None, '', old, page.drawn.token[:-1], page.drawn.key, [page.drawn.token] * 2):
    assert page.ask('GET', path, x_anon_jax_token=token)[0] == 403
  assert page.ask('GET', path)[0] in (200, 404)


@pytest.mark.parametrize('path', POSTS)
def test_a_post_without_the_token_of_this_start_is_refused(page, path):
  for token in (None, '', Secrets.draw().token, page.drawn.token.lower()):
    status, told = page.told('POST', path, b'{}', x_anon_jax_token=token)
    assert status == 403
    assert 'token' in told['error']


def test_the_token_counts_in_its_header_only(page):
  token = page.drawn.token
  path = f'/forget?x-anon-jax-token={token}&token={token}'
  assert page.ask('POST', path, {'token': token}, x_anon_jax_token=None, cookie=token)[0] == 403


@pytest.mark.parametrize('query', ['', '?', '?key=', '?key=x', '?key={}x', '?x=1&key={}', '?{}'])
def test_the_first_page_needs_the_key_of_its_address(page, query):
  status, _, content = page.ask('GET', '/' + query.format(page.drawn.key), x_anon_jax_token=None)
  assert status == 403
  assert page.drawn.token.encode() not in content


def test_each_start_draws_other_secrets():
  drawn = [Secrets.draw() for _ in range(4)]
  assert len({secret for each in drawn for secret in each}) == 8
  assert all(len(secret) >= 32 for each in drawn for secret in each)


def test_the_first_page_holds_the_token_once_and_no_inline_script_or_style(page):
  _, headers, content = page.ask('GET', _first(page), x_anon_jax_token=None)
  text = content.decode()
  assert headers['content-type'].startswith('text/html')
  assert text.count(page.drawn.token) == 1
  assert page.drawn.key not in text
  assert re.findall(r'<script([^>]*)>(.*?)</script>', text, re.DOTALL) == [
    (' type="module" src="/page.js"', '')
  ]
  assert not re.search(r'<style|\sstyle=|\son[a-z]+=|javascript:', text)


def test_no_file_of_the_page_names_another_machine():
  texts = [content.decode() for content, _ in app.public_files().values()]
  texts.append((app._FILES / 'page.html').read_text())
  found = {
    url for text in texts for url in re.findall(r'(?:https?:)?//[\w.-]+\.\w+[^\s\'"]*', text)
  }
  assert found == {'http://www.w3.org/2000/svg'}  # a name space, which nobody fetches


@pytest.mark.parametrize(
  ('method', 'path', 'status'),
  [
    ('GET', 'first', 200),
    ('GET', '/', 403),
    ('GET', '/page.css', 200),
    ('GET', '/about', 200),
    ('GET', '/nothing', 404),
    ('GET', '/state?id=x', 404),
    ('POST', '/forget', 404),
    ('DELETE', '/about', 405),
    ('OPTIONS', '/upload', 405),
  ],
)
def test_every_answer_has_the_headers_that_lock_the_page(page, method, path, status):
  path = _first(page) if path == 'first' else path
  body = {'id': 'x'} if method == 'POST' else None
  found, headers, _ = page.ask(method, path, body)
  assert found == status
  assert {name: headers.get(name) for name in HEADERS} == HEADERS
  assert not [name for name in headers if name.lower().startswith('access-control')]
  assert 'server' not in headers
  policy = headers['content-security-policy']
  for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
    assert part in policy
  assert 'unsafe' not in policy
