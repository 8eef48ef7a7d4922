"""Give the texts of a Spark data frame their emojis and encodings, with all columns kept.

Spark hands Arrow batches to Python processes, one for each core that it computes on; each loads the model
once. Needs PySpark 4 and Java 17 (`pip install pyspark torchmoji[onnx]` on every machine); where there are
several Pythons, PYSPARK_PYTHON names the one to use.

Examples:
    spark_encode.py tweets.parquet encoded/ --column tweet
    spark-submit --master yarn spark_encode.py hdfs:///tweets hdfs:///encoded --format json
"""

import argparse
from collections.abc import Iterable, Iterator

import pyarrow
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from torchmoji.batch import BatchEncoder

RESULTS = "emoji_1 string, probability_1 float, features array<float>, error string"


def main() -> None:
    """Encode what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", help="a file or folder that Spark can read")
    parser.add_argument("output", help="a new folder of Parquet files")
    parser.add_argument("--column", default="text", help="of the texts (default: text)")
    parser.add_argument("--format", default="parquet", help="parquet, json or csv (default: parquet)")
    parser.add_argument("--model", default="default", help="a name, or a folder on every machine")
    options = parser.parse_args()
    encoder = BatchEncoder(options.model, options.column, ("emojis", "features"), top_k=1, threads=1)

    def encoded(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        for batch in batches:
            result = encoder(batch)
            place = result.schema.get_field_index("features")  # Spark knows no lists of a fixed size
            lists = result.column(place).cast(pyarrow.list_(pyarrow.float32()))
            yield result.set_column(place, "features", lists)

    spark = SparkSession.builder.appName("torchmoji").getOrCreate()
    reader = spark.read.format(options.format)
    frame = (reader.option("header", True) if options.format == "csv" else reader).load(options.input)
    schema = StructType(frame.schema.fields + StructType.fromDDL(RESULTS).fields)
    frame.mapInArrow(encoded, schema).write.parquet(options.output)
    spark.stop()


if __name__ == "__main__":
    main()
