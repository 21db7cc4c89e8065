"""A private WordPress: Debian's package on a MariaDB and a PHP server of its own, filled, and gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pymysql

from tests.servers import free_port, require

PLUGIN = Path(__file__).parents[2] / "integrations" / "wordpress" / "digest-newsletter.php"
PACKAGE = Path("/usr/share/wordpress")
PHP = Path(__file__).parent / "wordpress"  # the PHP that is put into the site
_PATIENCE = 60.0
_PARTS = ("wp-admin", "wp-includes")

_CONFIG = """<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:{socket}');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('WP_HOME', '{url}');
define('WP_SITEURL', '{url}');
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_DEBUG', true);
define('WP_DEBUG_DISPLAY', false);
define('WP_DEBUG_LOG', '{log}');
$table_prefix = 'news_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""


class WordPressServer:
    """One site in `folder`, at `url`, with our plugin active; `fill` gives it posts and views."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "site"
        self.socket = folder / "db.sock"
        self.complaints = folder / "php.log"  # every warning and deprecation, of WordPress itself too
        self.url = f"http://127.0.0.1:{free_port()}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Lay the site out, start the database and the web server, and install WordPress."""
        self._lay_out()
        self._start_database()
        self._php("install.php")
        port = self.url.rpartition(":")[2]
        workers = {**os.environ, "PHP_CLI_SERVER_WORKERS": "3"}
        self._spawn(["php", *_ini(), "-S", f"127.0.0.1:{port}", "-t", self.root, PHP / "router.php"], workers)
        self._until(self._answers, "the web server")

    def fill(self, content: Mapping[str, Any]) -> Any:
        """Put posts and views into the site, as `wordpress/fill.php` describes them; returns what it prints."""
        return json.loads(self._php("fill.php", json.dumps(content)))

    def run(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Execute SQL as the database's owner; returns the rows."""
        with pymysql.connect(
            unix_socket=str(self.socket), user="root", database="wordpress", cursorclass=pymysql.cursors.DictCursor
        ) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                rows = list(cursor.fetchall())
            connection.commit()
        return rows

    def database_url(self, user: str, password: str) -> str:
        """The database's address for a user, as config.toml has it."""
        return f"mysql://{user}:{password}@localhost/wordpress?unix_socket={self.socket}"

    def stop(self) -> None:
        """End the servers, the last started first, with every child: PHP's workers outlive the one that made them."""
        for process in reversed(self._processes):
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def log(self) -> str:
        """What the servers said."""
        return (self.folder / "log").read_text(errors="replace")

    def _lay_out(self) -> None:
        # Copied, not linked: PHP would follow a link and read the package's own configuration.
        self.root.mkdir()
        for name in _PARTS:
            shutil.copytree(PACKAGE / name, self.root / name, symlinks=False, ignore_dangling_symlinks=True)
        for file in PACKAGE.glob("*.php"):
            shutil.copy(file, self.root)
        (self.root / "wp-config.php").write_text(_CONFIG.format(socket=self.socket, url=self.url, log=self.complaints))
        ours = self.root / "wp-content" / "plugins" / "digest-newsletter"
        ours.mkdir(parents=True)
        shutil.copy(PLUGIN, ours)
        plugins = self.root / "wp-content" / "mu-plugins"
        theme = self.root / "wp-content" / "themes" / "bare"
        plugins.mkdir(parents=True)
        theme.mkdir(parents=True)
        shutil.copy(PHP / "popular-posts.php", plugins)
        (theme / "style.css").write_text("/* Theme Name: Bare */")
        loop = "while (have_posts()) { the_post(); the_title(); the_content(); }"
        (theme / "index.php").write_text(f"<?php wp_head(); {loop}")

    def _start_database(self) -> None:
        store = self.folder / "db"
        make = ["mariadb-install-db", "--no-defaults", f"--datadir={store}", "--user=root", "--skip-test-db"]
        subprocess.run([*make, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
        self._spawn(
            [
                *(
                    "mariadbd",
                    "--no-defaults",
                    "--user=root",
                    "--skip-networking",
                    "--innodb-flush-log-at-trx-commit=0",
                ),
                *(f"--datadir={store}", f"--socket={self.socket}", f"--pid-file={self.folder / 'db.pid'}"),
            ]
        )
        self._until(self._database_made, "the database")

    def _database_made(self) -> bool:
        command = ["mariadb", "--no-defaults", f"--socket={self.socket}", "-e", "CREATE DATABASE wordpress"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/wp-json/", timeout=_PATIENCE) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def _until(self, ready: Any, what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not ready():
            ended = [process.args for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{what} does not start ({ended}):\n{self.log()[-2000:]}")
            time.sleep(0.05)

    def _php(self, script: str, said: str = "") -> str:
        command = ["php", *_ini(), PHP / script, self.root]
        done = subprocess.run(command, input=said, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{script} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout

    def _spawn(self, command: list[Any], environment: Mapping[str, str] | None = None) -> None:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        self._processes.append(process)


def _ini() -> list[str]:
    return ["-d", "display_errors=stderr", "-d", "error_reporting=E_ERROR"]


def _missing() -> str:
    """What is not installed, or an empty string."""
    for program in ("php", "mariadbd", "mariadb-install-db"):
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
            return program
    if not (PACKAGE / "wp-load.php").exists():
        return str(PACKAGE)
    modules = subprocess.run(["php", "-m"], capture_output=True, text=True, check=True).stdout
    return "" if "mysqli" in modules else "PHP's mysqli"


@contextmanager
def running() -> Iterator[WordPressServer]:
    """A fresh site. Skips the test, or fails it in CI, when a Debian package is missing."""
    if missing := _missing():
        require("wordpress php-cli php-mysql mariadb-server", f"{missing} is not here")
    with tempfile.TemporaryDirectory(prefix="wp-") as folder:  # short: a socket's path has 107 bytes at most
        server = WordPressServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
