import argparse
import json
import subprocess
import sys

import pytest

from encoder.commands import add_parsers


def _run(*words):
    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers())
    args = parser.parse_args(list(words))
    return args.run(args)


def test_the_export_is_written_and_said(encoder_directory, tmp_path, capsys):
    assert _run("export-encoder", str(encoder_directory), "--out", str(tmp_path / "out")) == 0
    assert "same vectors to" in capsys.readouterr().out
    assert (tmp_path / "out" / "modules.json").exists()


def test_json_is_one_object(encoder_directory, tmp_path, capsys):
    assert _run("export-encoder", str(encoder_directory), "--out", str(tmp_path / "out"), "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["format"] == 1
    assert result["largest_difference"] <= result["tolerance"]


def test_the_place_must_be_named(capsys):
    with pytest.raises(SystemExit) as caught:
        _run("export-encoder", "somewhere")
    assert caught.value.code == 2
    assert "--out" in capsys.readouterr().err


def test_help_leaves_torch_unloaded():
    script = (
        "import sys, argparse\n"
        "from encoder.commands import add_parsers\n"
        "parser = argparse.ArgumentParser()\n"
        "add_parsers(parser.add_subparsers())\n"
        "parser.parse_args(['export-encoder', 'a', '--out', 'b'])\n"
        "heavy = {'torch', 'transformers', 'numpy', 'peft'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
