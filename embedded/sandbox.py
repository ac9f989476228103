"""Commands that run a program of the Debian root in a user namespace (bubblewrap)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from embedded.errors import StackError

#: What programs in the sandbox get to see of an environment, and nothing else.
ENVIRONMENT = {
    "PATH": "/usr/lib/postgresql/17/bin:/usr/bin:/usr/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/tmp",  # noqa: S108 - inside the sandbox, a tmpfs of its own
    "TZ": "UTC",
}


def user_ids(root: Path, user: str) -> tuple[int, int]:
    """User and group id of `user` in the root's own user list."""
    for line in (root / "etc/passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == user:
            return int(uid), int(gid)
    raise StackError(f"{root} has no user {user}: delete that directory and run the command again")


def command(root: Path, data: Path, program: Sequence[str], *, user: str = "postgres") -> list[str]:
    """The bwrap command for `program` with `data` as its only writable place, /data.

    - The invoking user, root or not, is `user` inside: initdb and peer authentication look that
      name up, and neither PostgreSQL nor a browser should run as root.
    - In a process id namespace of its own, the program is process 1: when it dies for whatever
      reason, the kernel kills all that it has started before its own death is reported. A restart
      therefore never meets orphans that hold the data directory.
    - The host's /proc is bound, not mounted anew: containers forbid the latter.
    - The network is the host's.
    """
    uid, gid = user_ids(root, user)
    # fmt: off
    sandbox = [
        "bwrap", "--unshare-user", "--uid", str(uid), "--gid", str(gid),
        "--unshare-pid", "--as-pid-1", "--die-with-parent",
        "--ro-bind", str(root), "/", "--dev", "/dev", "--ro-bind", "/proc", "/proc",
        "--tmpfs", "/tmp", "--tmpfs", "/run", "--tmpfs", "/mnt",  # noqa: S108 - inside the sandbox
        "--bind", str(data), "/data",
    ]
    # fmt: on
    return [*sandbox, "--chdir", "/data", "--", *program]


def run(
    root: Path,
    data: Path,
    program: Sequence[str],
    *,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 120,
    user: str = "postgres",
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its output; never raises for its exit code.

    The environment is handed over as such: a `--setenv` would show passwords in process lists.
    """
    return subprocess.run(
        command(root, data, program, user=user),
        # input="" gives an empty stdin: nothing in there may ask questions at our terminal.
        input=stdin or "",
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **(environment or {}), "PATH": search_path()},
        timeout=timeout,
        check=False,
    )


def search_path() -> str:
    """A PATH for both sides of bwrap: it is found by it on the host, its program in the sandbox."""
    return f"{ENVIRONMENT['PATH']}:{os.environ.get('PATH', os.defpath)}"


def check(root: Path) -> None:
    """Raise where this machine does not let bubblewrap work, with bubblewrap's own reason."""
    result = run(root, root, ["true"])
    if result.returncode:
        raise StackError(
            f"bubblewrap cannot make a sandbox here: {result.stderr.strip()}. Unprivileged user "
            "namespaces must be allowed (sysctl kernel.unprivileged_userns_clone=1, "
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile "
            "that lets unshare and mount through)."
        )
