"""How other processes restart a server: by a command in the environment."""

import json
import sys
from pathlib import Path


def restart_command(room: str, folder: Path) -> str:
    """Return the command that restarts a private server, as a list in JSON.

    Args:
        room: The module that serves it.
        folder: Where the server has its description.
    """
    program = Path(__file__).resolve().parents[1] / "servers.py"
    return json.dumps([sys.executable, str(program), "restart", room, str(folder)])
