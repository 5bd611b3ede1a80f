"""A user's mistake on the command line."""

from __future__ import annotations

from radiofix.cli import main


def mistake(capsys, *arguments):
    """Runs a command that must fail; its one line."""
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err
