/* SPDX-License-Identifier: Apache-2.0 */
/* Labelled data: csv, tsv, jsonl, CoNLL, CLINC's JSON, then repeats, a split by source, a part and
 * batches. The first byte chooses the layout (bits 0-2, modulo five), what a label is (3-4), a
 * second text (5), a source (6), given classes (7). */
#include <squeezebert/batches.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("\n"),
    SQZT_TOKEN("\n\n"),
    SQZT_TOKEN("\r\n"),
    SQZT_TOKEN(","),
    SQZT_TOKEN("\t"),
    SQZT_TOKEN(" "),
    SQZT_TOKEN("\""),
    SQZT_TOKEN("|"),
    SQZT_TOKEN("||"),
    SQZT_TOKEN("a|b"),
    SQZT_TOKEN("1.5"),
    SQZT_TOKEN("-1e300"),
    SQZT_TOKEN("nan"),
    SQZT_TOKEN("text,text2,label,from\n"),
    SQZT_TOKEN("text\tlabel\n"),
    SQZT_TOKEN("{\"text\":\"a\",\"label\":[\"b\",\"c\"]}\n"),
    SQZT_TOKEN("{\"text\":[\"a\",\"b\"],\"label\":[\"O\",\"B-x\"]}\n"),
    SQZT_TOKEN("\"label\":"),
    SQZT_TOKEN("[]"),
    SQZT_TOKEN("[1,2.50,\"1\"]"),
    SQZT_TOKEN("{\"train\":["),
    SQZT_TOKEN("[\"a\",\"b\"],"),
    SQZT_TOKEN("]}"),
    SQZT_TOKEN("\\u0000"),
    SQZT_TOKEN("\\ud83d\\ude00"),
    SQZT_TOKEN("-DOCSTART- -X- O\n"),
    SQZT_TOKEN("word B-x\n"),
    SQZT_TOKEN("word I-x\n"),
    SQZT_TOKEN("\0"),
    SQZT_TOKEN("\xFF"),
    SQZT_TOKEN("\xEF\xBB\xBF"),
};

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

typedef struct tape {
    const uint8_t *bytes;
    size_t n, at;
} tape;

static ptrdiff_t read_tape(void *user, void *bytes, size_t n)
{
    tape *t = user;
    size_t got = t->n - t->at;
    if (got > n) got = n;
    if (got && got > 1u + t->bytes[t->at] % 50u) got = 1u + t->bytes[t->at] % 50u;
    if (got) memcpy(bytes, t->bytes + t->at, got);
    t->at += got;
    return (ptrdiff_t)got;
}

static unsigned sum;

static void touch(sqz_text text)
{
    for (size_t i = 0; i < text.n_bytes; i++) sum += (unsigned char)text.bytes[i];
}

static void check_words(const sqz_example *e, uint32_t n_classes)
{
    uint32_t end = 0;
    for (uint32_t i = 0; i < e->n_labels; i++) {
        if (e->word_end[i] <= end || e->word_end[i] > e->input.text.n_bytes)
            sqzt_fuzz_breach("a word ends before it begins, or behind the text");
        if (e->labels[i] >= n_classes) sqzt_fuzz_breach("a word's class is none");
        end = e->word_end[i];
    }
    if (end != e->input.text.n_bytes) sqzt_fuzz_breach("the last word is not the text's end");
}

static void check_example(const sqz_dataset *data, const sqz_example *e)
{
    const uint32_t classes = sqz_dataset_n_classes(data);
    const sqz_label_kind kind = sqz_dataset_kind(data);
    touch(e->input.text);
    if (e->input.pair) touch(e->input.second);
    if (e->id.bytes) touch(e->id);
    if (e->source.bytes) touch(e->source);
    if (kind == SQZ_LABELS_ONE && e->label >= classes) sqzt_fuzz_breach("a class is none");
    if (kind == SQZ_LABELS_VALUE && !(e->value - e->value == 0))
        sqzt_fuzz_breach("a value is not finite");
    if (kind == SQZ_LABELS_WORDS) check_words(e, classes);
    for (uint32_t i = 0; kind == SQZ_LABELS_MANY && i < e->n_labels; i++)
        if (e->labels[i] >= classes || (i && e->labels[i] <= e->labels[i - 1]))
            sqzt_fuzz_breach("classes do not rise, or are none");
}

static void check_all(const sqz_dataset *data)
{
    size_t n;
    const sqz_example *e = sqz_dataset_examples(data, &n);
    if (!n) sqzt_fuzz_breach("no examples");
    for (size_t i = 0; i < n; i++) check_example(data, &e[i]);
    for (uint32_t k = 0; k < sqz_dataset_n_classes(data); k++) {
        const char *name = sqz_dataset_class(data, k);
        if (!name || !*name) sqzt_fuzz_breach("a class has no name");
    }
    if (strlen(sqz_dataset_sha256(data)) != 64) sqzt_fuzz_breach("no hash");
}

/* Every row once. */
static void check_rows(const uint32_t *rows, size_t n, size_t n_train)
{
    uint8_t *seen = calloc(n, 1);
    if (!seen) return;
    if (!n_train || n_train >= n) sqzt_fuzz_breach("nothing is trained on, or held out");
    for (size_t i = 0; i < n; i++) {
        if (rows[i] >= n || seen[rows[i]]++) sqzt_fuzz_breach("a row is none, or comes twice");
        if (i && i != n_train && rows[i] <= rows[i - 1]) sqzt_fuzz_breach("rows do not rise");
    }
    free(seen);
}

static void use(sqz_dataset *data)
{
    sqz_error error = {0};
    const sqz_repeat *repeats;
    sqz_dataset *part;
    size_t n, n_repeats, n_train;
    (void)sqz_dataset_examples(data, &n);
    check_all(data);
    if (sqz_dataset_repeats(data, &repeats, &n_repeats, &error) == SQZ_OK)
        for (size_t i = 0; i < n_repeats; i++)
            if (repeats[i].first >= repeats[i].row || repeats[i].row >= n)
                sqzt_fuzz_breach("a repeat that comes first");
    uint32_t *rows = malloc(n * sizeof *rows);
    if (rows && sqz_dataset_split(data, 0.3, 1, rows, &n_train, &error) == SQZ_OK) {
        check_rows(rows, n, n_train);
        if (sqz_dataset_part(data, rows, n_train, &part, &error) == SQZ_OK) {
            check_all(part);
            sqz_dataset_close(part);
        }
    }
    free(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const sqz_data_format formats[] = {SQZ_DATA_CSV, SQZ_DATA_TSV, SQZ_DATA_JSONL,
                                              SQZ_DATA_CONLL, SQZ_DATA_CLINC};
    static const char *const classes[] = {"a", "b", "O", "B-x", "1"};
    if (!n) return 0;
    const unsigned how = data[0];
    const sqz_data_format format = formats[(how & 7) % 5];
    const bool table = format <= SQZ_DATA_JSONL;
    const sqz_label_kind kind = format == SQZ_DATA_CONLL   ? SQZ_LABELS_WORDS
                                : format == SQZ_DATA_CLINC ? SQZ_LABELS_ONE
                                                           : (sqz_label_kind)(how >> 3 & 3);
    const bool words = kind == SQZ_LABELS_WORDS;
    tape t = {data + 1, n - 1, 0};
    const sqz_rows_source source = {.name = "tape", .read = read_tape, .user = &t};
    const sqz_dataset_options options = {
        .format = format,
        .kind = kind,
        .text2 = table && !words && how >> 5 & 1 ? "text2" : NULL,
        .source = table && how >> 6 & 1 ? "from" : NULL,
        .id = table && how >> 6 & 1 ? "from" : NULL,
        .classes = kind != SQZ_LABELS_VALUE && how >> 7 ? classes : NULL,
        .n_classes = kind != SQZ_LABELS_VALUE && how >> 7 ? sizeof classes / sizeof *classes : 0};
    sqz_dataset *dataset = NULL;
    sqz_error error = {0};
    sqzt_fuzz_begin(n);
    if (sqz_dataset_open_source(sqzt_fuzz_context(), &source, &options, &dataset, &error) ==
        SQZ_OK) {
        use(dataset);
        sqz_dataset_close(dataset);
    } else if (!strstr(error.text, "tape") && error.code != SQZ_EINVAL)
        sqzt_fuzz_breach(error.text);
    sqzt_fuzz_end();
    return 0;
}
