"""The documentation site: built without a warning, whole, and loading nothing from elsewhere."""

import html.parser
import inspect
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

import pytest

import anon_jax

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Attributes by which a page makes a browser load something; an <a> is followed by people only.
LOADING = {
  *((tag, 'src') for tag in ('script', 'img', 'iframe', 'audio', 'video', 'source', 'embed')),
  *(('img', 'srcset'), ('source', 'srcset'), ('video', 'poster'), ('object', 'data')),
  *(('form', 'action'), ('link', 'href')),
}
ELSEWHERE = re.compile(r'^\s*(?:[a-z][a-z0-9+.-]*:)?//', re.IGNORECASE)
STYLE_LOADS = re.compile(r"""(?:url\(\s*|@import\s+)['"]?([^'")\s;]+)""")
SCRIPT_LOADS = re.compile(r"""(?:fetch|import|open|sendBeacon)\s*\(\s*['"`]([^'"`]+)""")


class Page(html.parser.HTMLParser):
  """What a page loads, links to, and can be linked at.

  Attributes:
    loads: addresses that a browser loads by itself.
    links: those of <a>.
    anchors: ids.
    styles: text of style elements and attributes.
  """

  def __init__(self, text: str):
    super().__init__()
    self.loads: list[str] = []
    self.links: list[str] = []
    self.anchors: set[str] = set()
    self.styles = ''
    self._inside = ''
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self._inside = tag
    given = dict(attrs)
    self.anchors |= {given[name] for name in ('id', 'name') if given.get(name)}
    self.styles += f'{given.get("style") or ""}\n'
    if tag == 'a' and given.get('href'):
      self.links.append(given['href'])
    if tag == 'meta' and (given.get('http-equiv') or '').lower() == 'refresh':
      self.loads.append(given['content'].partition('url=')[2])
    self.loads += [given[name] for name in given if (tag, name) in LOADING and given[name]]

  def handle_data(self, data):
    if self._inside == 'style':
      self.styles += data

  def handle_endtag(self, tag):
    self._inside = ''


def foreign(addresses):
  """Returns those that lead to another host."""
  return [address for address in addresses if ELSEWHERE.match(address)]


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp('site')
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-c', 'docs'),
      *('-d', str(folder / 'doctrees'), '.', str(folder / 'html')),
    ],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env={**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHONWARNINGS': ''},
  )
  assert done.returncode == 0, done.stderr
  return folder / 'html'


@pytest.fixture(scope='module')
def pages(site) -> dict[pathlib.Path, Page]:
  return {path: Page(path.read_text()) for path in sorted(site.rglob('*.html'))}


def test_every_page_of_the_docs_is_on_the_site(pages, site):
  written = {path.relative_to(site).with_suffix('').as_posix() for path in pages}
  wanted = {p.relative_to(ROOT) for p in [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')]}
  wanted |= {pathlib.Path('notebooks/README.md'), pathlib.Path('benchmarks/results.md')}
  assert {path.with_suffix('').as_posix() for path in wanted} <= written
  assert {'index', 'search'} <= written


def test_no_page_loads_anything_from_elsewhere(pages, site):
  for path, page in pages.items():
    assert not foreign(page.loads + STYLE_LOADS.findall(page.styles)), path.name
  for path in site.rglob('*.css'):
    assert not foreign(STYLE_LOADS.findall(path.read_text())), path.name
  scripts = list(site.rglob('*.js'))
  assert scripts
  for path in scripts:
    assert not foreign(SCRIPT_LOADS.findall(path.read_text())), path.name


def test_everything_that_a_page_loads_or_links_to_is_there(pages, site):
  for path, page in pages.items():
    for address in page.loads + page.links:
      parts = urllib.parse.urlsplit(address)
      if parts.scheme or not (parts.path or parts.fragment):
        continue
      target = (path.parent / urllib.parse.unquote(parts.path)) if parts.path else path
      target = target.resolve()
      assert target.is_relative_to(site.resolve()), f'{path.name} leads out to {address}'
      assert target.is_file(), f'{path.name} leads to {address}, which is missing'
      if parts.fragment and target in pages:
        assert urllib.parse.unquote(parts.fragment) in pages[target].anchors, (path.name, address)


def test_the_python_interface_is_described_in_full(pages, site):
  anchors = pages[site / 'docs' / 'api.html'].anchors
  public = [name for name, _ in inspect.getmembers(anon_jax.Anonymizer) if not name.startswith('_')]
  assert {'anonymize', 'anonymize_many', 'detect', 'from_pretrained'} <= set(public)
  for name in public:
    assert f'anon_jax.Anonymizer.{name}' in anchors
  for name in ('Decision', 'Trust', 'Request', 'Anonymized'):
    assert f'anon_jax.inference.decisions.{name}' in anchors


def test_the_root_leads_to_the_first_page(pages, site):
  assert pages[site / 'index.html'].loads == ['docs/index.html']


def test_the_finders_of_this_file_find():
  page = Page(
    '<a href="https://a.b" id="c"></a><script src="//d.e/f.js"></script><img src="g.png">'
    '<style>p { background: url( "https://h.i/j.png" ) }</style>'
    '<link href="https://k.l/m.css"><p style="x: url(n.png)"></p>'
  )
  assert page.links == ['https://a.b']
  assert page.anchors == {'c'}
  assert foreign(page.loads) == ['//d.e/f.js', 'https://k.l/m.css']
  assert STYLE_LOADS.findall(page.styles) == ['https://h.i/j.png', 'n.png']
  assert STYLE_LOADS.findall("@import 'https://o.p';") == ['https://o.p']
  assert SCRIPT_LOADS.findall("x=fetch('https://q.r/s')") == ['https://q.r/s']
