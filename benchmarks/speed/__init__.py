"""The parts of `benchmarks/bench.py`: what is measured, the processes that measure, the report."""
