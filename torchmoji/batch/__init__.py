"""Many texts: batches for Ray, Spark, Dask and the like, and whole jobs from files to a folder of Parquet.

Neither torch nor pyarrow is imported before it is used.
"""

from torchmoji.batch.encoder import BatchEncoder
from torchmoji.batch.job import Report, encode_files

__all__ = ["BatchEncoder", "Report", "encode_files"]
