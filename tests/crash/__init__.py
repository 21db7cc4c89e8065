"""The crash test: processes, databases, mail servers, disks and clocks that fail in the middle of a run.

`python -m tests.crash` runs it at length, `tests/crash/test_crash.py` in short. Each scenario has a file with a
`run`. A town has readers and an edition for them; its post office is an SMTP server in a process of its own that
keeps a record of every copy it took; the books compare that record with what Digest believes.
"""
