/* SPDX-License-Identifier: Apache-2.0 */
/* Who learns, chooses and reports: rows by their sources, texts by being different. */
#include <string.h>

#include "base/error.h"
#include "compress/compress_rows.h"
#include "compress/compressor.h"
#include "eval/dataset_reader.h"

enum {
    CHOOSE_ROWS = 2000,
    LEAST_ROWS = 11,  /* of a part */
    LEAST_TEXTS = 200 /* different ones: 50 each to report, to choose, and for squeezing */
};

/* ---- rows ---- */

/* What is chosen on, of so many rows. */
static double to_choose(double holdout, size_t n)
{
    const double most = CHOOSE_ROWS / (double)n;
    return holdout < most ? holdout : most;
}

static sqz_status check_enough(const sqz_dataset *rows, size_t n, bool choose, sqz_error *error)
{
    if (n >= LEAST_ROWS) return SQZ_OK;
    return sqzi_fail(error, SQZ_EFORMAT, 0,
                     "%s: %zu rows to %s on, %d are needed: give more rows, or hold out more",
                     sqz_dataset_name(rows), n, choose ? "choose" : "report", LEAST_ROWS);
}

sqz_status sqzi_compress_check_rows(const sqz_allocator *allocator, sqz_dataset *learn,
                                    const sqz_dataset *report, double holdout, uint64_t seed,
                                    sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n, n_report, n_learn = 0;
    (void)sqz_dataset_examples(learn, &n);
    (void)sqz_dataset_examples(report, &n_report);
    uint32_t *rows = sqzi_allocate(allocator, n * sizeof *rows);
    FAIL_IF(!rows, SQZ_ENOMEM, 0, "no memory to deal out %zu rows", n);
    TRY(check_enough(report, n_report, false, error));
    TRY(sqz_dataset_split(learn, to_choose(holdout, n), seed, rows, &n_learn, error));
    TRY(check_enough(learn, n - n_learn, true, error));
fail:
    sqzi_release(allocator, rows, n * sizeof *rows);
    return status;
}

/* A data set in two. */
static sqz_status part(const sqzi_compressor *c, sqz_dataset *whole, double share,
                       sqz_dataset **more, sqz_dataset **fewer, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n, n_more = 0;
    (void)sqz_dataset_examples(whole, &n);
    uint32_t *rows = sqzi_allocate(c->allocator, n * sizeof *rows);
    FAIL_IF(!rows, SQZ_ENOMEM, 0, "no memory to deal out %zu rows", n);
    TRY(sqz_dataset_split(whole, share, c->options.seed, rows, &n_more, error));
    TRY(sqz_dataset_part(whole, rows, n_more, more, error));
    TRY(sqz_dataset_part(whole, rows + n_more, n - n_more, fewer, error));
fail:
    sqzi_release(c->allocator, rows, n * sizeof *rows);
    return status;
}

static sqz_status check_classes(const sqzi_compressor *c, const sqz_dataset *rows, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model_info *info = &c->base->info;
    const uint32_t n = sqz_dataset_n_classes(rows);
    FAIL_IF(!sqz_dataset_labelled(rows), SQZ_EINVAL, 0, "%s: its rows have no labels",
            sqz_dataset_name(rows));
    if (!n || sqzi_compress_embeds(c)) return SQZ_OK;
    FAIL_IF(n != info->n_labels, SQZ_EINVAL, 0, "%s has %u classes, %s answers with %u",
            sqz_dataset_name(rows), n, c->path, info->n_labels);
    for (uint32_t k = 0; info->labels_named && k < n; k++)
        FAIL_IF(strcmp(c->base->labels[k], sqz_dataset_class(rows, k)) != 0, SQZ_EINVAL, k,
                "output %u of %s is '%s', class %u of %s '%s'", k, c->path, c->base->labels[k], k,
                sqz_dataset_name(rows), sqz_dataset_class(rows, k));
fail:
    return status;
}

/* Rows to learn and to choose on, without those that are reported on as well. */
static sqz_status leave_out_reported(sqzi_compressor *c, sqz_dataset **rest, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_dataset *report = c->options.report;
    uint32_t *rows = NULL;
    bool *held = NULL;
    size_t n, n_kept = 0;
    (void)sqz_dataset_examples(*rest, &n);
    rows = sqzi_allocate(c->allocator, n * sizeof *rows);
    held = sqzi_allocate_zeroed(c->allocator, n, sizeof *held);
    FAIL_IF(!rows || !held, SQZ_ENOMEM, 0, "no memory to deal out %zu rows", n);
    TRY(sqzi_dataset_find_rows(report, *rest, held, error));
    for (uint32_t i = 0; i < n; i++)
        if (!held[i]) rows[n_kept++] = i;
    c->result->n_rows_left_out = n - n_kept;
    if (n_kept == n) goto fail;
    FAIL_IF(
        !n_kept, SQZ_EINVAL, 0,
        "%s: each of its %zu rows is one of %s, which are reported on: nothing is left to learn",
        sqz_dataset_name(*rest), n, sqz_dataset_name(report));
    TRY(sqz_dataset_part(*rest, rows, n_kept, &c->data.rest, error));
    *rest = c->data.rest;
fail:
    sqzi_release(c->allocator, held, n * sizeof *held);
    sqzi_release(c->allocator, rows, n * sizeof *rows);
    return status;
}

static sqz_status deal_out_rows(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_compress_data *d = &c->data;
    const sqz_compress_options *o = &c->options;
    sqz_dataset *rest = o->dataset;
    size_t n;
    TRY(check_classes(c, rest, error));
    d->rows[SQZI_COMPRESS_REPORT] = o->report;
    if (o->report) {
        TRY(check_classes(c, o->report, error));
        TRY(leave_out_reported(c, &rest, error));
    } else {
        TRY(part(c, rest, o->holdout, &d->rest, &d->own[SQZI_COMPRESS_REPORT], error));
        d->rows[SQZI_COMPRESS_REPORT] = d->own[SQZI_COMPRESS_REPORT];
        rest = d->rest;
    }
    (void)sqz_dataset_examples(rest, &n);
    TRY(part(c, rest, to_choose(o->holdout, n), &d->learn, &d->own[SQZI_COMPRESS_CHOOSE], error));
    d->rows[SQZI_COMPRESS_CHOOSE] = d->own[SQZI_COMPRESS_CHOOSE];
    for (int p = 0; p < SQZI_COMPRESS_PARTS; p++) {
        (void)sqz_dataset_examples(d->rows[p], &d->n[p]);
        TRY(check_enough(d->rows[p], d->n[p], p == SQZI_COMPRESS_CHOOSE, error));
    }
    (void)sqz_dataset_examples(d->learn, &c->result->n_learn);
    d->learn->labelled = false; /* the base's logits are learned, a class may be missing */
fail:
    return status;
}

/* ---- texts ---- */

static sqz_status deal_out_texts(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_compress_data *d = &c->data;
    const sqz_squeeze_options *o = &c->options.levers;
    sqzi_text_split *reported = &d->reported, *chosen = &d->chosen;
    TRY(sqzi_text_split_make(c->allocator, o->texts, o->n_texts, reported, error));
    const size_t n = reported->n_learn + reported->n_held_out;
    FAIL_IF(n < LEAST_TEXTS, SQZ_EFORMAT, 0,
            "%zu different texts, at least %d are needed: some are learned, some chosen on, and "
            "the result is judged on others",
            n, LEAST_TEXTS);
    TRY(sqzi_text_split_make(c->allocator, reported->learn, reported->n_learn, chosen, error));
    d->texts[SQZI_COMPRESS_REPORT] = reported->held_out;
    d->n[SQZI_COMPRESS_REPORT] = reported->n_held_out;
    d->texts[SQZI_COMPRESS_CHOOSE] = chosen->held_out;
    d->n[SQZI_COMPRESS_CHOOSE] = chosen->n_held_out;
    d->plain = chosen->learn;
    d->n_plain = c->result->n_learn = chosen->n_learn;
fail:
    return status;
}

sqz_status sqzi_compress_open_data(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF(!sqz_model_embed_tokenizer(c->base), SQZ_EINVAL, 0,
            "%s: it has no tokenizer to read texts with", c->path);
    if (c->options.dataset) TRY(deal_out_rows(c, error));
    else TRY(deal_out_texts(c, error));
    TRY(sqzi_compress_open_texts(c, error));
    if (c->data.learn && !sqzi_compress_embeds(c))
        TRY(sqz_dataset_tokenize(c->data.learn, sqz_model_tokenizer(c->base), c->max_length,
                                 error));
    c->result->n_choose = c->data.n[SQZI_COMPRESS_CHOOSE];
    c->result->n_report = c->data.n[SQZI_COMPRESS_REPORT];
fail:
    return status;
}

void sqzi_compress_close_data(sqzi_compressor *c)
{
    sqzi_compress_data *d = &c->data;
    sqzi_compress_close_texts(c);
    sqz_dataset_close(d->own[SQZI_COMPRESS_CHOOSE]);
    sqz_dataset_close(d->learn);
    sqz_dataset_close(d->own[SQZI_COMPRESS_REPORT]);
    sqz_dataset_close(d->rest);
    sqzi_text_split_discard(&d->chosen);
    sqzi_text_split_discard(&d->reported);
}
