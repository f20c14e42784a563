"""Data sets: folders to records, records to pictures, pictures to batches."""
