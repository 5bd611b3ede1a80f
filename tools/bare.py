"""With the core dependencies alone radiofix imports quickly and names an extra that is missing."""

import importlib.util
import subprocess
import sys
from pathlib import Path

SECONDS = 3.0
TIMED = "import time; t = time.perf_counter(); import radiofix; print(time.perf_counter() - t)"
RADIOFIX = str(Path(sys.executable).with_name("radiofix"))


def output(*command: str, status: int = 0) -> str:
    """What a command prints; it must end with `status`."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == status, (command, run.returncode, run.stderr)
    return run.stdout + run.stderr


for extra in ("sionna", "ray", "fastapi", "deepmimo", "pytest"):
    assert importlib.util.find_spec(extra) is None, f"{extra} is installed: this is not bare"
seconds = min(float(output(sys.executable, "-c", TIMED)) for _ in range(3))
assert seconds < SECONDS, f"import radiofix took {seconds:.2f} s, at most {SECONDS:g} s"
assert "munich" in output(RADIOFIX, "scenes")
trace = output(RADIOFIX, "trace", "o1", "--users", "5", "--out", "bare.zarr", status=2)
assert trace == "radiofix: tracing needs Sionna RT: pip install 'radiofix[trace]'\n", trace
print(f"bare environment: import radiofix in {seconds:.2f} s; a missing extra is named")
