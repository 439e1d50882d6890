/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets of words in columns, as CoNLL's tasks have them. */
#include <string.h>

#include "base/error.h"
#include "eval/dataset_reader.h"
#include "model/context.h"

/* The sentence at hand. */
typedef struct sentence {
    sqz_dataset *dataset;
    sqzi_buffer words;    /* sqz_text */
    sqzi_buffer labels;   /* uint32_t */
    uint64_t begin, last; /* its first line, and the last one read */
} sentence;

static sqz_status end_sentence(sentence *s, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t n = s->words.used / sizeof(sqz_text);
    sqz_example e = {.line = s->begin, .n_labels = (uint32_t)n};
    void *labels;
    if (!n) return SQZ_OK;
    TRY(sqzi_dataset_join(s->dataset, (const void *)s->words.data, n, &e, error));
    TRY(sqzi_dataset_take(s->dataset, n, sizeof(uint32_t), &labels, error));
    memcpy(labels, s->labels.data, n * sizeof(uint32_t));
    e.labels = labels;
    TRY(sqzi_dataset_add(s->dataset, &e, error));
    s->words.used = s->labels.used = 0;
fail:
    return status;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static sqz_status read_line(sentence *s, const sqz_row *row, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const char *line = row->text.bytes;
    const unsigned long long at = row->line;
    size_t n = row->text.n_bytes, word = 0, label;
    uint32_t number;
    sqz_text kept;
    FAIL_IF(row->status != SQZ_OK, row->status, row->line, "%s: line %llu: %s", s->dataset->name,
            at, row->fault);
    while (n && is_blank(line[n - 1])) n--;
    if (row->line != s->last + 1) TRY(end_sentence(s, error)); /* blank lines between */
    s->last = row->line;
    if (n >= 10 && memcmp(line, "-DOCSTART-", 10) == 0) return end_sentence(s, error);
    while (word < n && !is_blank(line[word])) word++;
    for (label = n; label && !is_blank(line[label - 1]);) label--;
    FAIL_IF(!word || label <= word, SQZ_EFORMAT, row->line,
            "%s: line %llu: a word and its class in columns are expected, parted by blanks or TABs",
            s->dataset->name, at);
    if (!s->words.used) s->begin = row->line;
    TRY(sqzi_dataset_keep(s->dataset, (sqz_text){line, word}, &kept, error));
    TRY(sqzi_buffer_append(&s->words, &kept, sizeof kept, error));
    TRY(sqzi_dataset_class_of(s->dataset, (sqz_text){line + label, n - label}, row->line, &number,
                              error));
    TRY(sqzi_buffer_append(&s->labels, &number, sizeof number, error));
fail:
    return status;
}

sqz_status sqzi_dataset_read_conll(sqz_dataset *dataset, const sqz_rows_source *source,
                                   sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_row *row;
    sqz_rows *rows = NULL;
    const sqz_rows_options options = {.allocator = dataset->allocator};
    sentence s = {.dataset = dataset,
                  .words = {.allocator = dataset->allocator, .limit = SIZE_MAX},
                  .labels = {.allocator = dataset->allocator, .limit = SIZE_MAX}};
    TRY(sqz_rows_open(source, &options, &rows, error));
    for (uint32_t n = 1; n;) {
        TRY(sqz_rows_next(rows, &row, &n, error));
        for (uint32_t r = 0; r < n; r++) TRY(read_line(&s, &row[r], error));
    }
    TRY(end_sentence(&s, error));
    dataset->n_ill_formed = sqz_rows_ill_formed(rows);
fail:
    sqz_rows_close(rows);
    sqzi_buffer_free(&s.words);
    sqzi_buffer_free(&s.labels);
    return status;
}
