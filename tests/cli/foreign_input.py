#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Inputs that are no text in UTF-8.

foreign_input.py PROGRAM
"""

import gzip
import io
import pathlib
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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as WORK:
        BARE, TWO = f"{WORK}/bare.gguf", f"{WORK}/two.gguf"
        for kind, model, fault in (
            ("BertModel", BARE, []),
            ("BertForSequenceClassification", TWO, ["labels=negative,positive"]),
        ):
            made = [f"{WORK}/{kind}", kind, *fault]
            subprocess.run([sys.executable, "-B", HERE / "make_folder.py", *made], check=True)
            subprocess.run([PROGRAM, "import", made[0], "-o", model], check=True, capture_output=True)
        unittest.main()
