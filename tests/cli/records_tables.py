#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lines and tables through every verb that reads them: one rule for line ends, blank lines, quotes and faults.

    records_tables.py PROGRAM
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = sys.argv.pop()


def start(verb, model, *options, data=b"", code=0):
    got = subprocess.run([PROGRAM, verb, f"{WORK}/{model}.gguf", *options], input=data if isinstance(data, bytes) else data.encode(), capture_output=True)
    assert got.returncode == code, (verb, options, data, got.returncode, got.stdout.decode(), got.stderr.decode())
    return got.stdout.decode(), got.stderr.decode()


def records(verb, model, data, *options, code=0):
    return [json.loads(line) for line in start(verb, model, "--json", *options, data=data, code=code)[0].splitlines()]


def write(name, text):
    path = pathlib.Path(WORK, name)
    path.write_bytes(text.encode())
    return str(path)


class Lines(unittest.TestCase):
    def test_line_ends_marks_and_blank_lines_change_nothing(self):
        plain = records("embed", "bare", "good film\nbad act\n")
        for data in ("good film\r\nbad act\r\n", "\ufeffgood film\nbad act", "\n\ngood film\n \t\n\r\nbad act\n\n"):
            self.assertEqual(records("embed", "bare", data), plain)
        table = "text,id\ngood film,1\nbad act,2\n"
        plain = records("embed", "bare", table, "--input", "csv")
        for data in (table.replace("\n", "\r\n"), "\ufeff" + table, table.replace("\n", "\n\n"), table.replace("good film", '"good film"')):
            self.assertEqual(records("embed", "bare", data, "--input", "csv"), plain)
        self.assertEqual(records("embed", "bare", table.replace(",", "\t"), "--input", "tsv"), plain)

    def test_blank_lines_are_counted(self):
        for options, data in (((), "a\n\n \nb\n"), (("--input", "csv"), "text\na\n\n\nb\n"), (("--input", "tsv"), "\n\ntext\na\nb\n"), (("--input", "jsonl"), '{"text":"a"}\n\n\r\n{"text":"b"}\n')):
            out, err = start("classify", "nli", *options, data=data)
            self.assertEqual((len(out.splitlines()), err), (2, "squeezebert: 2 blank lines of stdin skipped\n"))
        self.assertEqual(start("similarity", "bare", data="a\tb\n\nc\td\n")[1], "squeezebert: 1 blank line of stdin skipped\n")

    def test_a_slow_pipe_is_answered_line_by_line(self):
        for options, head, lines in (((), b"", (b"good\n", b"\nbad\r\n")), (("--input", "csv"), b"text,id\n", (b"good,1\n", b'"b\na",2\n')), (("--input", "jsonl"), b"", (b'{"text":"a"}\n', b'{"text":"b"}\n'))):
            with subprocess.Popen([PROGRAM, "classify", f"{WORK}/nli.gguf", "--json", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
                process.stdin.write(head)
                for line in lines:
                    process.stdin.write(line)
                    self.assertIn("label", json.loads(process.stdout.readline()))  # hangs where the program waits for more
                process.stdin.close()
                self.assertEqual(process.stdout.read(), b"")


class Tables(unittest.TestCase):
    def test_json_is_passed_on_as_it_came(self):
        fields = '"id":10014255632117358197,"a":0.1,"b":1e400,"n":NaN,"i":[-Infinity,{"x":1.0}],"e\\u0301":"\\ud800\\/","a":2'
        out, _ = start("classify", "nli", "--input", "jsonl", data="{" + fields + ',"text":"good"}\n')
        self.assertTrue(out.startswith("{" + fields + ',"label":'), out)

    def test_a_field_with_the_name_of_a_result_is_renamed_however_it_is_spelt(self):
        out, _ = start("classify", "nli", "--input", "jsonl", data='{"label":1,"sc\\u006fre":2,"text":"good","Label":3}\n')
        self.assertTrue(out.startswith('{"input_label":1,"input_sc\\u006fre":2,"Label":3,"label":'), out)

    def test_ill_formed_bytes_are_replaced_in_what_is_passed_on(self):
        out, _ = start("classify", "nli", "--input", "jsonl", data=b'{"a\xff":"\xc3(","text":"good"}\n')
        self.assertTrue(out.startswith('{"a\ufffd":"\ufffd(","label":'), out)
        out, _ = start("classify", "nli", "--input", "csv", data=b'a\xff,text\n\xe2\x82,good\n')
        self.assertTrue(out.startswith('{"a\ufffd":"\ufffd","label":'), out)

    def test_quotes_of_a_tsv(self):
        table = 'text\tid\n"a ""b"" c"\t"\n'
        tokens = {mode: records("tokenize", "bare", table, "--input", "tsv", "--quotes", mode)[0]["tokens"] for mode in ("auto", "none")}
        self.assertEqual(tokens["auto"], records("tokenize", "bare", 'a "b" c\n')[0]["tokens"])
        self.assertEqual(tokens["none"], records("tokenize", "bare", '"a ""b"" c"\n')[0]["tokens"])
        both, = records("tokenize", "bare", 'text\tid\n"a\tb\nc"\t"x ""y"""\n', "--input", "tsv", "--quotes", "csv")
        self.assertEqual((both["id"], both["tokens"]), ('x "y"', records("tokenize", "bare", "a b c\n")[0]["tokens"]))
        self.assertIn("--quotes is for tables", start("classify", "nli", "--quotes", "none", data="a\n", code=2)[1])
        self.assertIn('loses them', start("classify", "nli", "--help")[0].replace("\n", " "))

    def test_faults_name_the_line(self):
        rows = records("classify", "nli", 'id,text\n1,"a\nb"\n\n2\n3,c,d\n4,e\n', "--input", "csv", code=1)
        self.assertEqual([r.get("error") for r in rows], [None, "stdin: line 5: the row has 1 columns, the header 2: 'id', 'text'", "stdin: line 6: the row has 3 columns, the header 2: 'id', 'text'", None])
        rows = records("classify", "nli", '{"text":"a"}\n\n{"body":"a","id":3}\n{"text":null}\n{"text":"a"', "--input", "jsonl", code=1)
        self.assertEqual([r.get("error") for r in rows], [None, "stdin: line 3: the object has no 'text', it has 'body', 'id'", "stdin: line 4: 'text' is null: a string is expected",
                                                          "stdin: line 5: not a JSON object: a comma or } is expected at byte 12"])
        self.assertEqual(rows[1]["id"], 3)
        self.assertIn("stdin: line 2: the line has no TAB", start("similarity", "bare", "--strict", data="a\tb\nc\n", code=1)[1])
        self.assertIn("error: stdin: line 1: ", start("classify", "nli", "--long", "error", "--max-length", "4", data="a b c d e\n", code=1)[0])

    def test_a_missing_column_is_named_beside_those_there_are(self):
        err = start("classify", "nli", "--input", "csv", data="id,body\n1,a\n", code=3)[1]
        self.assertIn("stdin: line 1: the header has no column 'text', it has 'id', 'body' (--text", err)
        self.assertIn("no column 'second'", start("similarity", "bare", "--input", "tsv", "--text2", "second", data="text\tx\na\tb\n", code=3)[1])
        self.assertIn("UTF-16", start("classify", "nli", data="good\n".encode("utf-16"), code=3)[1])


class Search(unittest.TestCase):
    def hits(self, path, *options, query="bad act\n"):
        return records("search", "bare", query, "-f", path, "-k", "9", *options)

    def test_hits_carry_row_line_and_query(self):
        path = write("corpus.txt", "\ufeffgood film\r\n\r\n  \nbad act\r\nthe\n")
        row, = self.hits(path)
        self.assertEqual(list(row), ["query", "hits"])
        self.assertEqual(row["query"], "bad act")
        self.assertEqual(list(row["hits"][0]), ["row", "line", "score", "text"])
        self.assertEqual(sorted((h["row"], h["line"], h["text"]) for h in row["hits"]), [(0, 1, "good film"), (3, 4, "bad act"), (4, 5, "the")])
        self.assertEqual(row["hits"][0]["text"], "bad act")
        self.assertIn("2 blank lines of " + path, start("search", "bare", "-f", path, data="a\n")[1])
        self.assertEqual(start("search", "bare", "-f", path, "-k", "1", data="bad act\n")[0], "bad act\n  1.000  bad act\n")

    def test_tables_are_searched_and_give_their_ids(self):
        csv = write("corpus.csv", 'id,body\nx-1,good film\nx-2,"bad\nact"\n\nx-3,the\n')
        self.assertEqual([(h["line"], h["id"]) for h in self.hits(csv, "--file-text", "body")[0]["hits"][:1]], [(3, "x-2")])
        jsonl = write("corpus.jsonl", '{"text":"good","id":18446744073709551617}\n{"key":[1],"text":"bad act"}\n')
        out = start("search", "bare", "-f", jsonl, "--json", data="good\n")[0]
        self.assertIn('"row":0,"line":1,"id":18446744073709551617,"score":', out)
        self.assertEqual([h.get("id") for h in self.hits(jsonl)[0]["hits"]], [None, 18446744073709551617])
        tsv = write("corpus.data", "key\ttext\n7\tbad act\n")
        self.assertEqual(self.hits(tsv, "--file-input", "tsv", "--id", "key")[0]["hits"][0]["id"], "7")
        queries = records("search", "bare", "query,text\n5,bad act\n", "--input", "csv", "-f", csv, "--file-text", "body")
        self.assertEqual((queries[0]["input_query"], queries[0]["query"]), ("5", "bad act"))

    def test_a_corpus_that_cannot_be_read_whole_is_refused(self):
        for name, text, options, code, words in (("a.csv", "id,text\n1,a\n2\n", (), 3, "a.csv: line 3: the row has 1 columns"), ("b.csv", "id,body\n1,a\n", (), 3, "it has 'id', 'body' (--file-text"),
                                                 ("c.jsonl", '{"text":"a"}\n{"x":1}\n', (), 3, "c.jsonl: line 2: the object has no 'text'"), ("d.csv", "text\na\n", ("--id", "key"), 3, "there is no column 'key'"),
                                                 ("e.txt", "a\n", ("--id", "key"), 2, "--file-input"), ("f.txt", " \n\n", (), 3, "f.txt: holds no text")):
            self.assertIn(words, start("search", "bare", "-f", write(name, text), *options, data="a\n", code=code)[1])

    def test_texts_that_were_cut_are_counted(self):
        path = write("long.txt", "a b c d e f g h\nshort\n" + "a " * 30 + "\n")
        err = start("search", "bare", "-f", path, "--max-length", "8", data="a\n" + "b " * 9 + "\n")[1]
        self.assertEqual(err, "squeezebert: 2 of 3 texts to search were cut to the maximal length\nsqueezebert: 1 of 2 texts were cut to the maximal length\n")


class Calibration(unittest.TestCase):
    def test_texts_come_from_lines_and_tables_and_are_counted(self):
        texts = [f"good film {i} the bad act" for i in range(300)]
        lines, table = write("texts.txt", "\r\n\n".join(texts)), write("texts.csv", "id,body\n" + "".join(f"{i},{t}\n" for i, t in enumerate(texts)))
        reports = [json.loads(start("quantize", "bare", "--dry-run", "--json", "--calibrate", *how)[0]) for how in ((lines,), (table, "--calibrate-text", "body"))]
        self.assertEqual(reports[0], reports[1])
        self.assertEqual(reports[0]["calibration"]["texts"], 300)
        self.assertGreater(reports[0]["calibration"]["pieces"], 2048)
        self.assertIn(f"calibrated on 300 texts of {reports[0]['calibration']['pieces']} pieces\n", start("quantize", "bare", "--dry-run", "--calibrate", lines)[0])
        self.assertIn("it has 'id', 'body' (--calibrate-text", start("quantize", "bare", "--dry-run", "--calibrate", table, code=3)[1])
        self.assertIn("say --calibrate-input", start("quantize", "bare", "--dry-run", "--calibrate", lines, "--calibrate-text", "body", code=2)[1])
        self.assertIn("--calibrate FILE is missing", start("quantize", "bare", "--dry-run", "--calibrate-text", "body", code=2)[1])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as WORK:
        for name, kind in (("bare", "BertModel"), ("nli", "BertForSequenceClassification")):
            subprocess.run([sys.executable, "-B", HERE / "make_folder.py", f"{WORK}/{name}", kind], check=True)
            subprocess.run([PROGRAM, "import", f"{WORK}/{name}", "-o", f"{WORK}/{name}.gguf"], check=True, capture_output=True)
        unittest.main()
