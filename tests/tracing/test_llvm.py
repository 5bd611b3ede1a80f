"""A libLLVM that would abort the process is found out before anything is traced."""

import pytest

from radiofix.tracing import llvm


def test_a_named_file_that_is_no_library_is_refused(tmp_path):
    path = tmp_path / "libLLVM.so.19.1"
    path.write_bytes(b"no library")
    with pytest.raises(llvm.LlvmError, match="no loadable libLLVM: install it"):
        llvm.find_llvm({"DRJIT_LIBLLVM_PATH": str(path)})


def test_a_named_library_that_aborts_is_refused(monkeypatch):
    monkeypatch.setattr(llvm, "llvm_version", lambda path: 15)
    with pytest.raises(
        llvm.LlvmError, match=r"is LLVM 15, which aborts.*apt-get install libllvm19"
    ):
        llvm.find_llvm({"DRJIT_LIBLLVM_PATH": "/usr/lib/libLLVM-15.so.1"})


def test_only_old_libraries_are_none(monkeypatch, tmp_path):
    for name in ("libLLVM-14.so.1", "libLLVM-15.so.1"):
        (tmp_path / name).touch()
    monkeypatch.setattr(llvm, "FOLDERS", (str(tmp_path),))
    with pytest.raises(llvm.LlvmError, match="needs libLLVM 16 or newer, found 14, 15: install it"):
        llvm.find_llvm({})


def test_the_newest_that_loads_is_taken(monkeypatch, tmp_path):
    for name in ("libLLVM-15.so.1", "libLLVM.so.18.1", "libLLVM.so.19.1", "libLLVM.so.20.1"):
        (tmp_path / name).touch()
    monkeypatch.setattr(llvm, "FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(llvm, "llvm_version", lambda p: None if "20" in p.name else 19)
    assert llvm.find_llvm({}).name == "libLLVM.so.19.1"
