"""The spectrum of a report as a table in a file."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexer.health.report import HealthReport


def write_spectrum(file: Path, report: "HealthReport") -> None:
    """Writes one line a direction: its singular value (raw), eigenvalue (centred), and that of random rows.

    Args:
        file: `.csv` or `.parquet`; replaced as a whole.
        report: the report.
    """
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    from encoder.atomic import write_bytes

    found = report.examination
    columns = {
        "singular_value": found.diagnosis.singular_values,
        "eigenvalue": found.diagnosis.eigenvalues,
        "random_eigenvalue": found.reference.eigenvalues,
    }
    length = max(map(len, columns.values()))
    table = pa.table(
        {
            "direction": pa.array(range(1, length + 1), pa.int64()),
            **{
                name: pa.array([*values.tolist(), *([None] * (length - len(values)))], pa.float64())
                for name, values in columns.items()
            },
        }
    )
    content = pa.BufferOutputStream()
    if file.suffix.lower() == ".csv":
        csv.write_csv(table, content)
    else:
        pq.write_table(table, content)
    write_bytes(file, content.getvalue().to_pybytes())
