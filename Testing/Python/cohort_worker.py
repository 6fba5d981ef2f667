"""Loaded by the workers of the tests' cluster: they register in their own process, as the tests do in theirs."""

from cohort_cases import measured_here
from RobustDIRLib.cohort import task

task.measured = measured_here
