"""EDGE: tables in files, as people and other programs write them: CSV in any of its dialects, JSON, zipped or not."""
