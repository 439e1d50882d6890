/* SPDX-License-Identifier: Apache-2.0 */
/* What a build says of its data, and of the answers to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "build/builder.h"
#include "eval/dataset_reader.h"

enum { FEW = 5, NAMED = 3 };

sqz_status sqzi_build_check(const sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const char *name = sqz_dataset_name(b->dataset);
    FAIL_IF(sqz_dataset_kind(b->dataset) != SQZ_LABELS_ONE || !sqz_dataset_labelled(b->dataset),
            SQZ_EINVAL, 0, "%s: build is for labels of one class a row", name);
    FAIL_IF(b->result.n_classes < 2, SQZ_EFORMAT, 0,
            "%s: all %zu rows have the label '%.100s': a classifier needs two classes or more",
            name, b->result.n, sqz_dataset_class(b->dataset, 0));
fail:
    return status;
}

/* "2 classes have fewer than 5 examples: refund (1), recall (3)": those of `least` examples or
 * more, but below `end`, and how many they are. */
static uint32_t say_classes(const sqz_build *b, uint64_t least, uint64_t end, const char *what)
{
    char names[400] = "";
    size_t used = 0;
    uint32_t n = 0;
    for (uint32_t k = 0; k < b->result.n_classes; k++) {
        if (b->counts[k] < least || b->counts[k] >= end || n++ >= NAMED) continue;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.80s (%llu)",
                                 n > 1 ? ", " : "", b->labels[k], (unsigned long long)b->counts[k]);
    }
    if (n)
        sqzi_build_note(b, "%u class%s %s: %s%s", n, n == 1 ? " has" : "es have", what, names,
                        n > NAMED ? ", ..." : "");
    return n;
}

static void say_few(sqz_build *b)
{
    char what[40];
    snprintf(what, sizeof what, "fewer than %d examples", FEW);
    b->result.n_few = say_classes(b, 1, FEW, what);
    b->result.n_absent = say_classes(b, 0, 1, "no example in the data");
}

/* The rows held out have all classes, their names from now on. */
static sqz_status name_classes(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_dataset_add_classes(b->held_out, b->labels, b->result.n_classes, error));
    FAIL_IF(sqz_dataset_n_classes(b->held_out) != b->result.n_classes, SQZ_EINVAL, 0,
            "%s: two of its %u classes have one name", b->base, b->result.n_classes);
    for (uint32_t k = 0; k < b->result.n_classes; k++)
        b->labels[k] = sqz_dataset_class(b->held_out, k);
fail:
    return status;
}

static sqz_status count_repeats(sqz_build *b, sqz_error *error)
{
    const sqz_repeat *repeats;
    uint32_t named = 0;
    const sqz_status status = sqz_dataset_repeats(b->dataset, &repeats, &b->result.n_repeats,
                                                  error);
    for (size_t i = 0; status == SQZ_OK && i < b->result.n_repeats; i++) {
        if (!repeats[i].contradicts) continue;
        b->result.n_contradictions++;
        const sqz_example *e = &b->examples[repeats[i].row],
                          *first = &b->examples[repeats[i].first];
        if (named++ < NAMED)
            sqzi_build_note(b,
                            "lines %llu and %llu have the same text, but the labels %.80s and "
                            "%.80s",
                            (unsigned long long)first->line, (unsigned long long)e->line,
                            b->labels[first->label], b->labels[e->label]);
    }
    if (b->result.n_contradictions > NAMED)
        sqzi_build_note(b, "%zu rows in all have the text of an earlier one and another label",
                        b->result.n_contradictions);
    return status;
}

static int rising(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static sqz_status measure_lengths(sqz_build *b, sqz_error *error)
{
    const size_t n = b->result.n;
    uint32_t *lengths = sqzi_allocate(b->allocator, n * sizeof *lengths);
    if (!lengths) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to sort %zu rows", n);
    for (size_t i = 0; i < n; i++) {
        const sqz_example_pieces p = sqz_dataset_pieces(b->dataset, i);
        lengths[i] = p.n;
        b->result.n_cut += p.cut > 0;
    }
    qsort(lengths, n, sizeof *lengths, rising);
    b->result.median_pieces = lengths[n / 2];
    b->result.most_pieces = lengths[n - 1];
    sqzi_release(b->allocator, lengths, n * sizeof *lengths);
    if (b->result.n_cut)
        sqzi_build_note(b, "%zu of %zu texts were cut to %u pieces", b->result.n_cut, n,
                        b->result.most_pieces);
    return SQZ_OK;
}

sqz_status sqzi_build_look(sqz_build *b, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = &b->model->info;
    say_few(b);
    TRY(count_repeats(b, error));
    TRY(measure_lengths(b, error));
    TRY(sqz_dataset_split(b->dataset, b->options.holdout, b->options.seed, b->rows,
                          &b->result.n_train, error));
    b->result.n_held_out = b->result.n - b->result.n_train;
    TRY(sqz_dataset_part(b->dataset, b->rows + b->result.n_train, b->result.n_held_out,
                         &b->held_out, error));
    TRY(name_classes(b, error));
    TRY(sqz_dataset_tokenize(b->held_out, sqz_model_tokenizer(b->model), info->max_length, error));
    b->result.held_out = b->held_out;
fail:
    return status;
}

/* ---- confusions ---- */

/* The numbers of the first examples. */
static void name_rows(const sqz_build *b, sqz_build_confusion *c)
{
    for (size_t i = 0; i < b->result.n_held_out && c->n_rows < NAMED; i++) {
        const uint32_t row = b->rows[b->result.n_train + i];
        if (b->examples[row].label == c->truth &&
            sqz_predictions_answer(b->predictions, i).label == c->label)
            c->rows[c->n_rows++] = row;
    }
}

/* In its place among the most frequent ones. */
static void put_confusion(sqz_build *b, const sqz_build_confusion *c)
{
    uint32_t at = b->result.n_confusions;
    if (at == SQZI_CONFUSIONS && b->confusions[at - 1].count >= c->count) return;
    if (at < SQZI_CONFUSIONS) b->result.n_confusions++;
    else at--;
    for (; at && b->confusions[at - 1].count < c->count; at--)
        b->confusions[at] = b->confusions[at - 1];
    b->confusions[at] = *c;
}

void sqzi_build_find_confusions(sqz_build *b)
{
    const uint32_t k = b->result.n_classes;
    b->result.n_confusions = 0;
    for (uint32_t truth = 0; truth < k; truth++)
        for (uint32_t label = 0; label < k; label++) {
            const uint64_t count = b->result.measures.confusion[(size_t)truth * k + label];
            const sqz_build_confusion c = {.truth = truth,
                                           .label = label,
                                           .count = (uint32_t)count};
            if (count && truth != label) put_confusion(b, &c);
        }
    for (uint32_t i = 0; i < b->result.n_confusions; i++) name_rows(b, &b->confusions[i]);
}
