"""A libLLVM that the tracer can work with, found before anything is traced.

An unfit one aborts the whole process in the middle of a trace, with no exception to catch.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping
from pathlib import Path

OLDEST_FIT = 16
"""LLVM 14 and 15 cannot select `fmaximum` on AVX-512 processors and abort."""
MEND = "install it (Debian, Ubuntu: apt-get install libllvm19) or name it in DRJIT_LIBLLVM_PATH"
FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/opt/llvm/lib")


class LlvmError(ValueError):
    """No libLLVM that the tracer can work with; the message says what to install."""


def find_llvm(environment: Mapping[str, str] | None = None) -> Path:
    """The libLLVM to trace with: the one named in DRJIT_LIBLLVM_PATH, else the newest fit one."""
    named = (os.environ if environment is None else environment).get("DRJIT_LIBLLVM_PATH")
    if named:
        version = llvm_version(Path(named))
        if version is None:
            raise LlvmError(f"DRJIT_LIBLLVM_PATH={named} is no loadable libLLVM: {MEND}")
        if version < OLDEST_FIT:
            raise LlvmError(f"DRJIT_LIBLLVM_PATH={named} is LLVM {version}, which aborts: {MEND}")
        return Path(named)
    candidates = sorted(_candidates(), key=lambda path: (-_version_by_name(path), str(path)))
    for path in candidates:
        if _version_by_name(path) >= OLDEST_FIT and llvm_version(path) is not None:
            return path
    old = ", ".join(sorted({str(_version_by_name(path)) for path in candidates})) or "none"
    raise LlvmError(f"tracing needs libLLVM {OLDEST_FIT} or newer, found {old}: {MEND}")


def use_llvm() -> Path:
    """Finds a fit libLLVM and has the tracer use it; call before Sionna is imported."""
    path = find_llvm()
    os.environ["DRJIT_LIBLLVM_PATH"] = str(path)
    return path


def llvm_version(path: Path) -> int | None:
    """Major version of a libLLVM file by its name, or None where the file cannot be loaded.

    Loading every one that is there would put several LLVMs into one process, so names come first.
    """
    numbers = re.search(r"LLVM[^0-9]*(\d+)", path.resolve().name)
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    if numbers:
        return int(numbers.group(1))
    major = ctypes.c_uint()
    library.LLVMGetVersion(ctypes.byref(major), None, None)
    return int(major.value)


def _version_by_name(path: Path) -> int:
    numbers = re.search(r"LLVM[^0-9]*(\d+)", path.name)
    return int(numbers.group(1)) if numbers else 0


def _candidates() -> list[Path]:
    paths: dict[Path, None] = {}
    for folder in map(Path, FOLDERS):
        for pattern in (
            "libLLVM*.so*",
            "*-linux-gnu/libLLVM*.so*",
            "llvm-*/lib/libLLVM*.so*",
            "libLLVM*.dylib",
        ):
            paths.update((path.resolve(), None) for path in folder.glob(pattern))
    return [path for path in paths if path.is_file()]
