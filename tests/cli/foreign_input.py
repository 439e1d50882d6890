#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Inputs that are no text in UTF-8, outputs that are an input, folders that are something else.

foreign_input.py PROGRAM
"""

import gzip
import io
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = sys.argv.pop()


def start(*arguments, data=b"", code=0):
    got = subprocess.run([PROGRAM, *arguments], input=data, capture_output=True)
    assert got.returncode == code, (arguments, got.returncode, got.stdout, got.stderr)
    return got.stdout.decode(errors="replace"), got.stderr.decode()


def write(name, data):
    path = pathlib.Path(WORK, name)
    path.write_bytes(data)
    return str(path)


class Bytes(unittest.TestCase):
    LATIN = "ein gr\u00fcner Apfel\nplain\nein \u00d6lbaum\n".encode("latin-1")

    def test_records_that_are_not_utf8_are_counted(self):
        for data, options in (
            (self.LATIN, ()),
            (b"text\n" + self.LATIN, ("--input", "csv")),
            (b"text\n" + self.LATIN, ("--input", "tsv")),
            (b'{"text":"gr\xfcn"}\n{"text":"plain"}\n{"text":"\xd6l"}\n', ("--input", "jsonl")),
        ):
            self.assertIn(
                "2 records of stdin are not UTF-8",
                start("tokenize", BARE, *options, data=data)[1],
            )
        self.assertEqual(start("tokenize", BARE, data="gr\u00fcn \ufffd\n".encode())[1], "")

    def test_texts_to_search_and_to_calibrate_on_are_counted_too(self):
        path = write("latin.txt", 300 * self.LATIN)
        got = start("search", BARE, "--file", path, data=b"apple\n")[1]
        self.assertIn(f"600 records of {path} are not UTF-8", got)
        out = str(pathlib.Path(WORK, "s8.gguf"))
        got = start("quantize", BARE, "-o", out, "--type", "s8", "--calibrate", path)[1]
        self.assertIn(f"600 records of {path} are not UTF-8", got)

    def test_rows_of_an_evaluation_are_counted_too(self):
        path = write("dev.tsv", "sentence\tlabel\ngr\u00fcn\t1\nplain\t0\n".encode("latin-1"))
        got = start("eval", TWO, "--task", "sst2", "--data", path)[1]
        self.assertIn(f"1 record of {path} is not UTF-8", got)

    def test_compressed_files_and_spreadsheets_are_refused_by_name(self):
        sheet = io.BytesIO()
        with zipfile.ZipFile(sheet, "w") as archive:
            archive.writestr("xl/workbook.xml", "<workbook/>")
        for data, word in (
            (gzip.compress(b"plain\n"), "gzip"),
            (sheet.getvalue(), ".xlsx"),
            (b"PAR1\x15\x04\x15", "Parquet"),
            (b"\x93NUMPY\x01\x00", "NumPy"),
        ):
            for options in ((), ("--input", "csv"), ("--input", "jsonl")):
                self.assertIn(word, start("tokenize", BARE, *options, data=data, code=3)[1])
            path = write("texts", data)
            self.assertIn(word, start("search", BARE, "-f", path, data=b"a\n", code=3)[1])


class Outputs(unittest.TestCase):
    def refused(self, path, *arguments, data=b""):
        before = pathlib.Path(path).read_bytes()
        got = start(*arguments, data=data, code=1)[1]
        self.assertIn(f"{path}: cannot write", got)
        self.assertIn("name another", got)
        self.assertEqual(pathlib.Path(path).read_bytes(), before)

    def test_no_result_takes_the_place_of_the_model(self):
        other = str(pathlib.Path(WORK, "link.gguf"))
        pathlib.Path(other).symlink_to(BARE)
        self.refused(BARE, "embed", BARE, "-o", BARE, data=b"plain\n")
        self.refused(other, "embed", BARE, "-o", other, data=b"plain\n")
        path = write("dev.tsv", b"sentence\tlabel\nplain\t1\n")
        evaluate = ["eval", TWO, "--task", "sst2", "--predictions"]
        self.refused(TWO, *evaluate, TWO, "--data", WORK)
        self.refused(path, *evaluate, path, "--data", WORK)
        self.refused(path, *evaluate, path, "--data", path)

    def test_no_model_takes_the_place_of_what_it_is_made_of(self):
        path = write("texts.txt", 600 * b"a plain text to calibrate on\n")
        self.refused(path, "quantize", BARE, "-o", path, "--type", "s8", "--calibrate", path)
        folder = pathlib.Path(WORK, "BertModel")
        for file in folder.iterdir():
            self.refused(str(file), "import", str(folder), "-o", str(file))
        start("import", str(folder), "-o", str(folder / "model.gguf"))
        start("import", str(folder), "-o", str(folder / "model.gguf"))
        (folder / "model.gguf").unlink()


class Folders(unittest.TestCase):
    def folder(self, name):
        path = pathlib.Path(WORK, name)
        shutil.copytree(pathlib.Path(WORK, "BertModel"), path)
        return path

    def says(self, folder, *words, options=(), code=3):
        out = str(pathlib.Path(WORK, "never.gguf"))
        got = start("import", str(folder), "-o", out, *options, code=code)[1]
        for word in words:
            self.assertIn(word, got)
        self.assertFalse(pathlib.Path(out).exists())

    def test_a_name_or_address_on_the_hub_is_told_to_be_one(self):
        for name in ("some-model", "maker/some-model", "https://huggingface.co/maker/some-model"):
            self.says(name, "hf download")
        self.says("", "name of the folder to import is empty")

    def test_a_link_to_what_is_not_there_is_told(self):
        path = self.folder("links")
        (path / "model.safetensors").unlink()
        (path / "model.safetensors").symlink_to("../../blobs/0123")
        self.says(path, "model.safetensors: cannot open: it is a link to '../../blobs/0123'")
        pathlib.Path(WORK, "astray").symlink_to("elsewhere")
        self.says(pathlib.Path(WORK, "astray"), "it is a link to 'elsewhere'")

    def test_the_snapshots_of_a_cache_stand_for_its_model(self):
        cache = pathlib.Path(WORK, "models--maker--some-model")
        shutil.copytree(pathlib.Path(WORK, "BertModel"), cache / "snapshots" / "abc")
        out = str(pathlib.Path(WORK, "cached.gguf"))
        start("import", str(cache / "snapshots"), "-o", out)
        self.assertIn("maker/some-model", start("info", out)[0])
        (cache / "snapshots" / "def").mkdir()
        (cache / "refs").mkdir()
        (cache / "refs" / "main").write_text("..")
        self.says(cache, "holds 2 snapshots")

    def test_settings_that_are_no_json_object_in_utf8_are_refused(self):
        path = self.folder("utf16")
        text = (path / "config.json").read_text(encoding="utf-8")
        (path / "config.json").write_bytes(text.encode("utf-16"))
        self.says(path, "config.json", "UTF-16")
        (path / "config.json").write_text(text, encoding="utf-8")
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            (path / name).write_text("[]", encoding="utf-8")
            self.says(path, f"{name} is no JSON object")
            (path / name).unlink()

    def test_a_name_that_a_file_cannot_hold_is_refused(self):
        for name in ("", "two\nlines", b"\xff"):
            self.says(pathlib.Path(WORK, "BertModel"), "name", options=("--name", name), code=2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as WORK:
        BARE, TWO = f"{WORK}/bare.gguf", f"{WORK}/two.gguf"
        for kind, model, fault in (
            ("BertModel", BARE, []),
            ("BertForSequenceClassification", TWO, ["labels=negative,positive"]),
        ):
            made = [f"{WORK}/{kind}", kind, *fault]
            subprocess.run([sys.executable, "-B", HERE / "make_folder.py", *made], check=True)
            start("import", made[0], "-o", model)
        unittest.main()
