-- What the footer of one part says: its rows, and the dataset it was written for.
SELECT
    (SELECT num_rows FROM parquet_file_metadata($part)) AS row_count,
    (
        SELECT max(value::VARCHAR)
        FROM parquet_kv_metadata($part)
        WHERE key::VARCHAR = 'orket_dataset'
    ) AS dataset
