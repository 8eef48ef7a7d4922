"""Many texts: batches for Ray, Spark, Dask and the like, and whole jobs from files to a folder of Parquet.

Nothing heavy is imported before a name is used.
"""

from typing import TYPE_CHECKING

from torchmoji.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from torchmoji.batch.encoder import BatchEncoder
    from torchmoji.batch.job import Report, encode_files

__all__ = ["BatchEncoder", "Report", "encode_files"]

__getattr__, __dir__ = lazy_names(
    __name__, {"BatchEncoder": "encoder", "Report": "job", "encode_files": "job"}
)
