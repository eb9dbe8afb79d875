"""Spectra by the length of passages and by memory token: curves of equally many rows, and what has to be said of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from app.curves import Layer
from app.formats import count

if TYPE_CHECKING:
    from encoder.spectrum.length_bias import LengthBin, LengthReport
    from encoder.spectrum.slots import SlotReport


def length_name(each: "LengthBin") -> str:
    """Texts of about one length, as in "5 to 40 tokens"."""
    return f"{count(each.least)} to {count(each.most)} tokens"


def length_layers(report: "LengthReport") -> list[Layer]:
    """One curve for each length with enough texts, from short to long, and random directions; empty without any."""
    drawn = [each for each in report.bins if each.eigenvalues]
    layers = _ramp([(length_name(each), each.singular_values, each.eigenvalues) for each in drawn])
    return [*layers, _random(report.curve_rows, report.dimension)] if layers else []


def length_sentence(report: "LengthReport") -> str:
    """How many texts stand behind each curve, and which lengths have too few for one."""
    few = [each for each in report.bins if not each.eigenvalues]
    words = (
        f"Each curve is of {count(report.curve_rows)} passages, drawn at random. "
        if report.curve_rows
        else ""
    )
    if not few:
        return words.strip()
    named = ", ".join(f"{length_name(each)} ({count(each.n)})" for each in few)
    return (
        f"{words}No curve for {named}: it takes {count(report.dimension)} passages of a length, "
        "as many as a vector has numbers."
    )


def slot_layers(report: "SlotReport") -> list[Layer]:
    """One curve for each memory token, the first to the last, and random directions; empty without texts."""
    layers = _ramp(
        [
            (f"memory token {number}", slot.singular_values, slot.eigenvalues)
            for number, slot in enumerate(report.slots, 1)
        ]
    )
    return [*layers, _random(report.n, report.dimension)] if layers else []


def slot_sentence(report: "SlotReport") -> str:
    """How many texts stand behind each curve, and what so few cannot show."""
    words = f"Each curve is of the same {count(report.n)} texts, states made unit length."
    if report.n < report.dimension:
        words += (
            f" That is fewer than the {count(report.dimension)} numbers of a state: compare the curves with one "
            "another, and not with spectra of more texts."
        )
    return words


def _ramp(spectra: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> list[Layer]:
    last = max(1, len(spectra) - 1)
    return [
        Layer(name, np.array(singular_values), np.array(eigenvalues), shade=at / last)
        for at, (name, singular_values, eigenvalues) in enumerate(spectra)
    ]


def _random(rows: int, dimension: int) -> Layer:
    from encoder.spectrum.reference import isotropic

    values = isotropic(rows, dimension).eigenvalues
    return Layer("random directions", np.sqrt(values), values, is_reference=True)
