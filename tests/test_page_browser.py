"""The page in a real browser: what somebody does with photographs and clips on it."""

import hashlib
import time

import numpy as np
import pytest
from browsing import needs_chromium
from PIL import Image
from running_page import RED, encoded, engine, pixels, running
from test_videos import FRAMES, _write, detect

from anon_jax.inference import covering
from anon_jax.serving.engine import Engine

pytestmark = needs_chromium
NEW = (1, 200, 2)
KEYS = {'left': '\ue012', 'right': '\ue014', 'shift': '\ue008', 'delete': '\ue017'}


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  with running(tmp_path_factory.mktemp('page')) as client:
    yield client


@pytest.fixture
def photo(tmp_path):
  path = tmp_path / 'beach.png'
  path.write_bytes(encoded(pixels()))
  return path


@pytest.fixture
def looking(chromium, page, photo):
  """The page with a photograph whose face has been replaced."""
  chromium.open(page)
  chromium.drop(photo)
  chromium.settled()
  yield chromium
  chromium.click('#remove')
  assert not chromium.complaints()


def _near(picture, colour):
  return (np.abs(picture.astype(int) - colour) < 25).all(-1)


def _drag(looking, x, y, across, down):
  from selenium.webdriver.common.action_chains import ActionChains

  area = looking.find('#boxes')
  start = (round(x - area.rect['width'] / 2), round(y - area.rect['height'] / 2))
  chain = ActionChains(looking.driver).move_to_element_with_offset(area, *start).click_and_hold()
  chain.move_by_offset(across // 2, down // 2).move_by_offset(
    across - across // 2, down - down // 2
  )
  chain.release().perform()


def test_the_empty_page_says_what_it_takes(chromium, page):
  chromium.open(page)
  assert chromium.text('#drop-title') == 'Drop photographs or a clip here'
  assert 'up to 50 megapixels' in chromium.text('#taken')
  assert not chromium.shown('#view')
  assert not chromium.shown('#actions')
  assert not chromium.complaints()


def test_a_photograph_that_is_dropped_shows_its_face_with_a_score(looking):
  assert looking.text('#title') == 'beach.png'
  assert looking.text('#facts') == '120 × 90 pixels, 1 face'
  assert looking.text('#list') == 'Face 1, score 0.87\nnew face\nKeep…'
  looking.click('#to-faces')
  assert looking.all('#boxes text')[0].get_attribute('textContent').split() == ['1', '0.87']


def test_files_are_taken_by_dropping_them_anywhere(chromium, page):
  chromium.open(page)
  chromium.script(
    """
    const moved = new DataTransfer();
    moved.items.add(new File([new Uint8Array(arguments[0])], 'dropped.png'));
    document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: moved, bubbles: true}));
    """,
    list(encoded(pixels())),
  )
  chromium.settled()
  assert chromium.text('#title') == 'dropped.png'
  assert 'score 0.87' in chromium.text('#list')
  chromium.click('#remove')


def test_the_slider_shows_the_original_on_its_left_and_the_result_on_its_right(looking):
  slider = looking.find('#slider')
  slider.send_keys('\ue010')  # End: all of the original
  looking.wait(lambda: looking.find('#after').value_of_css_property('clip-path').endswith('100%)'))
  original = looking.picture('#canvas')
  slider.send_keys('\ue011')  # Home: all of the result
  result = looking.picture('#canvas')
  assert _near(original, RED).mean() > 0.1
  assert not _near(original, NEW).any()
  assert _near(result, NEW).mean() > 0.05
  assert not _near(result, RED).any()
  slider.send_keys(*[KEYS['right']] * 50)
  middle = looking.picture('#canvas')
  half = middle.shape[1] // 2 + 4
  assert _near(middle[:, : half - 8], RED).any()
  assert not _near(middle[:, half:], RED).any()


def test_a_box_that_is_drawn_is_covered_in_the_result(looking):
  looking.click('#to-faces')
  scale = looking.find('#boxes').rect['width'] / 120
  _drag(looking, 90 * scale, 10 * scale, round(20 * scale), round(30 * scale))
  assert 'Face 2' in looking.text('#list')
  assert not looking.find('#download').is_enabled()  # it would not show what was changed
  assert 'Apply it, then download' in looking.text('#stale')
  looking.apply()
  assert 'drawn by hand' in looking.text('#list')
  face = looking.manifest()['inputs'][0]['faces'][1]
  assert face['by'] == 'drawn'
  np.testing.assert_allclose(face['box'], [90, 10, 110, 40], atol=1.5)
  result = np.asarray(Image.open(looking.download('#download')))
  assert (result[12:38, 92:108] != pixels()[12:38, 92:108]).any(-1).mean() > 0.5


def test_a_box_is_moved_and_resized_by_keys_and_put_back(looking):
  looking.click('#to-faces')
  looking.find('#boxes g').send_keys(KEYS['left'])
  looking.find('#boxes g').send_keys(KEYS['shift'], KEYS['right'])
  assert looking.text('#list').startswith('Face 1\ncorrected by hand')
  looking.apply()
  face = looking.manifest()['inputs'][0]['faces'][0]
  assert (face['by'], face['box']) == ('corrected', [39, 30, 80, 70])
  assert face['found_box'] == [40, 30, 80, 70]
  looking.button('Reset', '#list')
  looking.apply()
  assert looking.manifest()['inputs'][0]['faces'][0]['by'] == 'found'


def test_a_box_is_added_and_removed_without_a_mouse(looking):
  looking.click('#add')
  assert len(looking.all('#list li')) == 2
  looking.driver.switch_to.active_element.send_keys(KEYS['delete'])
  assert len(looking.all('#list li')) == 1
  assert not looking.shown('#apply')  # nothing has changed


def test_a_face_is_kept_only_after_somebody_says_that_the_person_agrees(looking):
  looking.button('Keep…', '#list')
  assert looking.shown('#consent')
  assert not looking.find('#keep').is_enabled()
  looking.button('Cancel', '#consent')
  assert not looking.shown('#apply')
  looking.button('Keep…', '#list')
  assert not looking.find('#agreed').is_selected()
  looking.click('#agreed')
  looking.click('#keep')
  assert 'kept as it is, by choice' in looking.text('#list')
  looking.apply()
  record = looking.manifest()['inputs'][0]
  assert (record['status'], record['faces'][0]['action']) == ('kept', 'kept')
  np.testing.assert_array_equal(np.asarray(Image.open(looking.download('#download'))), pixels())
  looking.button('Replace', '#list')
  looking.apply()
  assert looking.manifest()['inputs'][0]['faces'][0]['action'] == 'synthesized'


def test_a_face_is_not_kept_by_leaving_the_question_with_escape(looking):
  looking.button('Keep…', '#list')
  looking.click('#agreed')
  looking.find('#agreed').send_keys('\ue00c')
  assert not looking.shown('#consent')
  assert 'kept' not in looking.text('#list')


@pytest.mark.parametrize(
  ('method', 'action'), [('fill', 'filled'), ('pixelate', 'pixelated'), ('blur', 'blurred')]
)
def test_another_method_is_chosen_and_applied(looking, method, action):
  looking.click(f'input[value={method}]')
  assert not looking.shown('#identity')
  looking.apply()
  manifest = looking.manifest()
  assert manifest['settings']['method'] == method
  assert manifest['inputs'][0]['faces'][0]['action'] == action
  if method == 'fill':
    result = np.asarray(Image.open(looking.download('#download')))
    assert (result[30:70, 40:80] == covering.FILL).all()


def test_one_control_identity_is_chosen_and_faces_are_drawn_again(looking):
  assert looking.shown('#again')
  before = looking.manifest()
  looking.click('#again')
  looking.settled()
  assert looking.manifest()['settings'] == before['settings']
  looking.click('#one')
  number = looking.find('#number')
  number.clear()
  number.send_keys('7')
  looking.apply()
  assert not looking.shown('#again')
  assert looking.manifest()['settings']['identity'] == '7'


def test_result_and_manifest_are_downloaded_and_belong_together(looking, photo):
  result = looking.download('#download')
  record = looking.manifest()['inputs'][0]
  assert result.name == record['target'] == 'beach_anonymized.png'
  assert hashlib.sha256(result.read_bytes()).hexdigest() == record['target_sha256']
  assert hashlib.sha256(photo.read_bytes()).hexdigest() == record['source_sha256']


def test_a_picture_without_a_face_is_given_out_by_a_confirmation_only(chromium, page, tmp_path):
  path = tmp_path / 'sea.png'
  path.write_bytes(encoded(pixels(face=False)))
  chromium.open(page)
  chromium.drop(path)
  chromium.settled()
  assert 'No face was found, so nothing is given out' in chromium.text('#notice')
  assert not chromium.shown('#download')
  assert not chromium.find('#give-out').is_enabled()
  chromium.click('#looked')
  chromium.click('#give-out')
  chromium.wait(lambda: chromium.shown('#download'))
  record = chromium.manifest()['inputs'][0]
  assert (record['status'], record['faces']) == ('no face', [])
  chromium.click('#add')  # a box that is drawn and taken away again confirms nothing
  chromium.apply()
  chromium.button('Remove', '#list')
  chromium.apply()
  assert not chromium.shown('#download')
  assert chromium.shown('#no-face')
  chromium.click('#remove')


def test_several_photographs_are_done_one_after_another(chromium, page, tmp_path):
  names = ['a.png', 'b.png', 'c.png']
  for name in names:
    (tmp_path / name).write_bytes(encoded(pixels()))
  (tmp_path / 'd.png').write_bytes(encoded(pixels())[:-30])
  chromium.open(page)
  chromium.drop(*[tmp_path / name for name in [*names, 'd.png']])
  chromium.wait(lambda: 'cannot be done' in chromium.text('#strip'))
  assert chromium.text('#strip').split('\n') == [
    'a.png', 'done', 'b.png', 'done', 'c.png', 'done', 'd.png', 'cannot be done'
  ]  # fmt: skip
  chromium.all('#strip button')[3].click()
  assert chromium.text('#notice') == 'd.png is cut short; replace it by a whole copy.'
  for _ in range(4):
    chromium.click('#remove')
  assert chromium.shown('#taken')


def test_a_clip_shows_how_far_it_is_and_then_its_result(chromium, tmp_path):
  clip = _write(tmp_path / 'walk.mp4', frames=3 * FRAMES)

  def slow(picture):
    time.sleep(0.05)
    return detect(picture)

  (tmp_path / 'root').mkdir()
  with running(tmp_path / 'root', Engine(slow)) as page:
    chromium.open(page)
    chromium.drop(clip)
    said = chromium.wait(lambda: ' frames, ' in chromium.text('#stage') and chromium.text('#stage'))
    assert f' of {3 * FRAMES} frames, ' in said
    assert said.endswith(' left')
    assert 0 < float(chromium.find('#progress').get_attribute('value')) < 1
    chromium.settled()
    assert chromium.text('#facts').startswith('96 × 64 pixels, 1 face')
    assert 'filled with grey' in chromium.text('#list')
    chromium.wait(lambda: chromium.script('return document.querySelector("video").readyState >= 2'))
    first = chromium.find('video').get_attribute('src')
    chromium.click('#to-faces')
    assert chromium.find('video').get_attribute('src') != first  # the original, from its own disk
    result, record = chromium.download('#download'), chromium.manifest()['inputs'][0]
    assert result.name == 'walk_anonymized.mp4'
    assert hashlib.sha256(result.read_bytes()).hexdigest() == record['target_sha256']
    chromium.click('#remove')


def test_a_clip_is_stopped(chromium, tmp_path):
  clip = _write(tmp_path / 'walk.mp4')
  (tmp_path / 'root').mkdir()

  def slow(picture):
    time.sleep(0.2)
    return detect(picture)

  with running(tmp_path / 'root', Engine(slow)) as page:
    chromium.open(page)
    chromium.drop(clip)
    chromium.click('#stop')
    assert not chromium.shown('#view')
    assert chromium.shown('#taken')


def test_without_networks_new_faces_cannot_be_chosen(chromium, tmp_path):
  with running(tmp_path, Engine(engine()._detector)) as page:
    chromium.open(page)
    assert not chromium.find('input[value=synthesize]').is_enabled()
    assert chromium.find('input[value=fill]').is_selected()
    assert 'no weights' in chromium.text('#methods')
