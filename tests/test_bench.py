"""The benchmark's command measures, and its section of results.md leaves the rest alone."""

import json
import pathlib
import subprocess
import sys

import pytest
from speed import measuring, report

_BENCH = pathlib.Path(__file__).resolve().parents[1] / 'benchmarks' / 'bench.py'
_MACHINE = {'cpu': 'a CPU', 'cores': 2, 'platform': 'Linux', 'gpu': False, 'dtype': 'float32'}
_FOUND = {'machine': {**_MACHINE, 'jax': '1', 'torch': '2'}, 'entries': {}}


def _run(*arguments):
  command = [sys.executable, str(_BENCH), *map(str, arguments)]
  return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_a_quick_run_measures_a_step_on_both_sides_and_writes_both_files(tmp_path):
  pytest.importorskip('torch', reason='the other side is PyTorch')
  (tmp_path / 'results.md').write_text('# By hand\n')
  done = _run('--quick', '--only', 'segment-small', '--out', tmp_path)
  assert done.returncode == 0, done.stderr + (tmp_path / 'bench.log').read_text()
  entry = json.loads((tmp_path / 'bench.json').read_text())['entries']['segment-small']
  assert set(entry['runs']) == {'jit', 'eager'}
  assert all(run['seconds'][0] > 0 for run in entry['runs'].values())
  assert 0.01 < entry['gflop'] < 1
  # stem 224, a block each of 8 to 8, 8 to 12 and 20 to 8 channels, last norm 16, logits 72
  assert entry['counts'] == {'segmenter': 224 + 1200 + 2320 + 2248 + 16 + 72}
  assert min(entry['peak_mib'].values()) > 50
  text = (tmp_path / 'results.md').read_text()
  assert text.startswith(f'# By hand\n\n{report.BEGIN}')
  assert '| S, small, 32 px x 4 | 1 |' in text


def test_a_part_that_is_not_known_is_refused_before_anything_is_measured(tmp_path):
  done = _run('--only', 'segment-small,scalling', '--out', tmp_path / 'new')
  assert done.returncode == 2
  assert 'scalling' in done.stderr and 'scaling' in done.stderr
  assert not (tmp_path / 'new').exists()


def test_what_is_asked_for_is_measured_in_that_order_and_everything_without_a_wish():
  assert measuring.choose('data, segment-small') == ['data', 'segment-small']
  assert measuring.choose('')[-2:] == ['data', 'scaling']


def test_the_section_is_replaced_and_the_rest_kept(tmp_path):
  path = tmp_path / 'results.md'
  path.write_text(f'# Title\n\n{report.BEGIN}\nold\n{report.END}\n\n## After\n')
  for _ in range(2):
    report.write_section(path, _FOUND)
  text = path.read_text()
  assert text.startswith(f'# Title\n\n{report.BEGIN}\n\na CPU, 2 cores')
  assert text.endswith(f'{report.END}\n\n## After\n')
  assert 'old' not in text
  assert text.count('not run') == 1


def test_a_marker_line_without_the_other_is_refused(tmp_path):
  path = tmp_path / 'results.md'
  path.write_text(f'{report.BEGIN}\nfigures\n')
  with pytest.raises(ValueError, match='without the other'):
    report.write_section(path, _FOUND)
  assert path.read_text() == f'{report.BEGIN}\nfigures\n'


def test_ratios_are_of_each_turn():
  # 2, 4, 3, 1 and 2 times as long: not the ratio of the sums, nor of the medians (4)
  assert report.ratio([2, 4, 9, 1, 10], [1, 1, 3, 1, 5]) == '**2.00** [2.00, 3.00]'


def test_what_torch_compile_could_not_do_is_said():
  entry = {
    'title': 'S, small',
    'changes': {'image_size': 32, 'batch_size': 4},
    'compiled': {'failed': 'took more than 180 s'},
  }
  assert report.failures({'segment-small': entry}) == (
    '- torch.compile, S, small, 32 px x 4: took more than 180 s.\n'
  )
