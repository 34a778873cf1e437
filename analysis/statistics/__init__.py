"""Frames and arrays of trials to frames of estimates, intervals, tests and verdicts."""
