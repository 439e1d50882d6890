/* SPDX-License-Identifier: Apache-2.0 */
/* GLUE's files, each task with its columns as they were published. Tab separated, never quoted: a
 * lone `"` is text. */
#include <math.h>
#include <squeezebert/eval.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file_map.h"
#include "base/span.h"
#include "model/context.h"

enum { MAX_COLUMNS = 16, LAST = -1, NONE = -2, MAX_CLASSES = 3 };

/* Columns of a labelled file and of a test file. label NONE: STS-B's score, else LAST or a
 * column. */
typedef struct layout {
    bool header;
    int first, second, label;
} layout;

typedef struct task_facts {
    const char *name, *other_name;
    layout labelled, test;
    const char *classes[MAX_CLASSES];
} task_facts;

static const task_facts facts[] = {
    [SQZ_GLUE_COLA] = {"cola", "cola", {false, 3, NONE, 1}, {true, 1, NONE, NONE}, {"0", "1"}},
    [SQZ_GLUE_SST2] = {"sst2", "sst-2", {true, 0, NONE, 1}, {true, 1, NONE, NONE}, {"0", "1"}},
    [SQZ_GLUE_MRPC] = {"mrpc", "mrpc", {true, 3, 4, 0}, {true, 3, 4, NONE}, {"0", "1"}},
    [SQZ_GLUE_QQP] = {"qqp", "qqp", {true, 3, 4, 5}, {true, 1, 2, NONE}, {"0", "1"}},
    [SQZ_GLUE_STSB] = {"stsb", "sts-b", {true, 7, 8, 9}, {true, 7, 8, NONE}, {NULL}},
    [SQZ_GLUE_MNLI] = {"mnli",
                       "mnli",
                       {true, 8, 9, LAST},
                       {true, 8, 9, NONE},
                       {"entailment", "neutral", "contradiction"}},
    [SQZ_GLUE_QNLI] =
        {"qnli", "qnli", {true, 1, 2, 3}, {true, 1, 2, NONE}, {"entailment", "not_entailment"}},
    [SQZ_GLUE_RTE] =
        {"rte", "rte", {true, 1, 2, 3}, {true, 1, 2, NONE}, {"entailment", "not_entailment"}},
    [SQZ_GLUE_WNLI] = {"wnli", "wnli", {true, 1, 2, 3}, {true, 1, 2, NONE}, {"0", "1"}},
    [SQZ_GLUE_AX] = {"ax",
                     "ax",
                     {true, 1, 2, 3},
                     {true, 1, 2, NONE},
                     {"entailment", "neutral", "contradiction"}},
};
enum { N_TASKS = sizeof facts / sizeof *facts };

struct sqz_glue {
    const sqz_allocator *allocator;
    char path[4096];
    sqzi_file_map map;
    const task_facts *facts;
    layout columns;
    bool skips_short;
    sqz_glue_row *rows;
    size_t n, capacity, n_skipped;
};

static bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        const char lower = *a >= 'A' && *a <= 'Z' ? (char)(*a - 'A' + 'a') : *a;
        if (lower != *b) return false;
    }
    return *a == *b;
}

int sqz_glue_find(const char *name)
{
    for (int t = 0; t < N_TASKS; t++)
        if (same_word(name, facts[t].name) || same_word(name, facts[t].other_name)) return t;
    return -1;
}

const char *sqz_glue_name(sqz_glue_task task)
{
    return (unsigned)task < N_TASKS ? facts[task].name : NULL;
}

const char *sqz_glue_class(sqz_glue_task task, uint32_t k)
{
    return (unsigned)task < N_TASKS && k < MAX_CLASSES ? facts[task].classes[k] : NULL;
}

/* Split a line at its tabs; columns beyond MAX_COLUMNS stay in the last one. A carriage return at
 * the end goes. */
static int split_line(const char *line, size_t n, sqzi_span *columns)
{
    int count = 0;
    if (n && line[n - 1] == '\r') n--;
    for (const char *end = line + n;;) {
        const char *tab = count < MAX_COLUMNS - 1 ? memchr(line, '\t', (size_t)(end - line)) : NULL;
        columns[count++] = (sqzi_span){line, (size_t)((tab ? tab : end) - line)};
        if (!tab) return count;
        line = tab + 1;
    }
}

static bool read_class(const task_facts *task, sqzi_span word, uint32_t *label)
{
    for (uint32_t k = 0; k < MAX_CLASSES && task->classes[k]; k++) {
        if (!sqzi_span_is(word, task->classes[k])) continue;
        *label = k;
        return true;
    }
    return false;
}

static bool read_score(sqzi_span word, double *score)
{
    char text[32], *end;
    if (!word.n || word.n >= sizeof text) return false;
    memcpy(text, word.bytes, word.n);
    text[word.n] = '\0';
    *score = strtod(text, &end);
    return *end == '\0' && isfinite(*score);
}

static sqz_text text_of(sqzi_span span)
{
    return (sqz_text){span.bytes, span.n};
}

static sqz_status read_row(sqz_glue *glue, const sqzi_span *columns, int n, size_t offset,
                           sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const layout *at = &glue->columns;
    const int label = at->label == LAST ? n - 1 : at->label;
    int needed = at->first > at->second ? at->first : at->second;
    if (at->label > needed) needed = at->label;
    if (at->label == LAST) needed++;
    if (n <= needed && glue->skips_short) {
        glue->n_skipped++;
        return SQZ_OK;
    }
    FAIL_IF(n <= needed, SQZ_EFORMAT, offset, "%s: the row at byte %zu has %d columns, %s needs %d",
            glue->path, offset, n, glue->facts->name, needed + 1);
    sqz_glue_row *row = &glue->rows[glue->n];
    *row = (sqz_glue_row){.input = {.text = text_of(columns[at->first])}};
    if (at->second != NONE) {
        row->input.second = text_of(columns[at->second]);
        row->input.pair = 1;
    }
    if (at->label != NONE) {
        const bool known = glue->facts->classes[0]
                               ? read_class(glue->facts, columns[label], &row->label)
                               : read_score(columns[label], &row->score);
        FAIL_IF(!known, SQZ_EFORMAT, offset,
                "%s: the row at byte %zu has the label '%.*s', which %s does not have", glue->path,
                offset, (int)(columns[label].n < 40 ? columns[label].n : 40), columns[label].bytes,
                glue->facts->name);
    }
    glue->n++;
fail:
    return status;
}

/* The header tells a relabelled sample (sentence1, sentence2, label and nothing else) and an AX
 * file with its labels from the published layout. */
static void read_header(sqz_glue *glue, const sqzi_span *columns, int n)
{
    if (n == 3 && sqzi_span_is(columns[0], "sentence1") && sqzi_span_is(columns[1], "sentence2") &&
        sqzi_span_is(columns[2], "label")) {
        glue->columns = (layout){true, 0, 1, 2};
        glue->skips_short = false;
    } else if (glue->facts == &facts[SQZ_GLUE_AX] && n == 4 && sqzi_span_is(columns[3], "label"))
        glue->columns = glue->facts->labelled;
}

static sqz_status read_lines(sqz_glue *glue, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (!glue->map.data) return SQZ_OK;
    const char *data = (const char *)glue->map.data, *end = data + glue->map.bytes, *line = data;
    bool header = glue->columns.header;
    if (glue->map.bytes >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) line += 3;
    while (line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        sqzi_span columns[MAX_COLUMNS];
        const int n = split_line(line, (size_t)((next ? next : end) - line), columns);
        if (header) read_header(glue, columns, n);
        else TRY(read_row(glue, columns, n, (size_t)(line - data), error));
        header = false;
        line = next ? next + 1 : end;
    }
fail:
    return status;
}

static size_t count_lines(const sqzi_file_map *map)
{
    size_t n = 1;
    if (!map->data) return n;
    const char *at = (const char *)map->data, *end = at + map->bytes;
    for (; at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++) n++;
    return n;
}

sqz_status sqz_glue_open(const sqz_context *context, sqz_glue_task task, const char *folder,
                         const char *split, sqz_glue **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    if (!context || !folder || (!split && task != SQZ_GLUE_AX) || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_glue_open: an argument is NULL");
    *out = NULL;
    if ((unsigned)task >= N_TASKS)
        return sqzi_fail(error, SQZ_EINVAL, 0, "%d is no GLUE task", (int)task);
    sqz_glue *glue = sqzi_allocate_zeroed(&context->allocator, 1, sizeof *glue);
    if (!glue) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a GLUE file");
    glue->allocator = &context->allocator;
    glue->facts = &facts[task];
    const bool test = task == SQZ_GLUE_AX || strncmp(split, "test", 4) == 0;
    glue->columns = test ? glue->facts->test : glue->facts->labelled;
    glue->skips_short = task == SQZ_GLUE_QQP;
    const int n = snprintf(glue->path, sizeof glue->path, "%s/%s.tsv", folder,
                           task == SQZ_GLUE_AX ? "AX" : split);
    FAIL_IF(n < 0 || (size_t)n >= sizeof glue->path, SQZ_EINVAL, 0,
            "the path of the folder is too long");
    TRY(sqzi_file_map_open(glue->path, &glue->map, error));
    glue->capacity = count_lines(&glue->map);
    glue->rows = sqzi_allocate_zeroed(glue->allocator, glue->capacity, sizeof *glue->rows);
    FAIL_IF(!glue->rows, SQZ_ENOMEM, 0, "no memory for the rows of %s", glue->path);
    TRY(read_lines(glue, error));
    *out = glue;
    return SQZ_OK;
fail:
    sqz_glue_close(glue);
    return status;
}

void sqz_glue_close(sqz_glue *glue)
{
    if (!glue) return;
    if (glue->rows) sqzi_release(glue->allocator, glue->rows, glue->capacity * sizeof *glue->rows);
    sqzi_file_map_close(&glue->map);
    sqzi_release(glue->allocator, glue, sizeof *glue);
}

const sqz_glue_row *sqz_glue_rows(const sqz_glue *glue, size_t *n)
{
    *n = glue->n;
    return glue->rows;
}

int sqz_glue_labelled(const sqz_glue *glue)
{
    return glue->columns.label != NONE;
}

size_t sqz_glue_skipped(const sqz_glue *glue)
{
    return glue->n_skipped;
}
