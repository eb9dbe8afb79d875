"""What an embedding space looks like: spectrum, measures, neighbourhoods, verdict. Plain numpy, nothing drawn."""

from encoder.spectrum.closeness import alignment, slot_similarity
from encoder.spectrum.covariance import Covariance, SpectrumMeasures, iso_score, spectrum_measures
from encoder.spectrum.diagnosis import Diagnosis, diagnose, diagnosis_to_json

__all__ = [
    "Covariance",
    "Diagnosis",
    "SpectrumMeasures",
    "alignment",
    "diagnose",
    "diagnosis_to_json",
    "iso_score",
    "slot_similarity",
    "spectrum_measures",
]
