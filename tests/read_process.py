"""A reader of the mailbox in a process, to be killed: python -m tests.read_process FOLDER DATABASE MAILDIR."""

import sys
from pathlib import Path

from digest.app.bounces import Returns
from tests.service import Service

folder, store_url, maildir = sys.argv[1:]
service = Service(Path(folder), store_url, 1, fresh=False, bounces={"inbox": "maildir", "path": maildir})
Returns(service.app).empty(service.clock)
