"""What an embedding space looks like: spectrum, measures, neighbourhoods, verdict. Plain numpy, nothing drawn."""

from encoder.spectrum.closeness import alignment, slot_similarity
from encoder.spectrum.comparison import Comparison, compare
from encoder.spectrum.covariance import Covariance, SpectrumMeasures, iso_score, spectrum_measures
from encoder.spectrum.diagnosis import Diagnosis, diagnose, diagnosis_of, diagnosis_to_json
from encoder.spectrum.examination import Examination, examination_to_json, examine
from encoder.spectrum.gathering import Gathering, gather
from encoder.spectrum.intervals import Interval, Intervals, spectrum_intervals
from encoder.spectrum.reference import Reference, isotropic
from encoder.spectrum.requirements import Failure, Requirement, check, parse_requirement
from encoder.spectrum.surroundings import Surroundings, look_around
from encoder.spectrum.transforms import Transform, fit_transform, parse_steps
from encoder.spectrum.verdict import Finding, Verdict, judge
from encoder.spectrum.what_if import KnownPairs, Share, WhatIf, what_if

__all__ = [
    "Comparison",
    "Covariance",
    "Diagnosis",
    "Examination",
    "Failure",
    "Finding",
    "Gathering",
    "Interval",
    "Intervals",
    "KnownPairs",
    "Reference",
    "Requirement",
    "Share",
    "SpectrumMeasures",
    "Surroundings",
    "Transform",
    "Verdict",
    "WhatIf",
    "alignment",
    "check",
    "compare",
    "diagnose",
    "diagnosis_of",
    "diagnosis_to_json",
    "examination_to_json",
    "examine",
    "fit_transform",
    "gather",
    "iso_score",
    "isotropic",
    "judge",
    "look_around",
    "parse_requirement",
    "parse_steps",
    "slot_similarity",
    "spectrum_intervals",
    "spectrum_measures",
    "what_if",
]
