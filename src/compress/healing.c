/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of what is healed on. */
#include "compress/healing.h"

#include "base/error.h"
#include "data/permutation.h"

/* All rows, in an order by chance. */
static sqz_status shuffle_rows(const sqzi_compressor *c, const sqz_dataset *dataset,
                               sqzi_healing_data *d, sqz_error *error)
{
    (void)sqz_dataset_examples(dataset, &d->n_rows);
    d->rows = sqzi_allocate(c->allocator, d->n_rows * sizeof *d->rows);
    if (!d->rows)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to choose of %zu rows", d->n_rows);
    for (uint32_t i = 0; i < d->n_rows; i++) d->rows[i] = i;
    sqzi_permute(d->rows, (uint32_t)d->n_rows, c->options.seed, SQZI_CHANCE_PIECES, 0);
    return SQZ_OK;
}

static size_t share_of(size_t n, uint32_t thousandths, uint32_t least)
{
    const size_t some = (size_t)((double)n * thousandths / SQZI_HEALING_ALL);
    return n < least ? n : some < least ? least : some;
}

static uint64_t pieces_of(const sqz_dataset *texts)
{
    size_t n;
    uint64_t pieces = 0;
    (void)sqz_dataset_examples(texts, &n);
    for (size_t i = 0; i < n; i++) pieces += sqz_dataset_pieces(texts, i).n;
    return pieces;
}

sqz_status sqzi_healing_open(const sqzi_compressor *c, const sqzi_healing_plan *plan,
                             sqzi_healing_data *d, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqzi_compress_data *data = &c->data;
    const bool by_rows = data->learn && c->base->info.head != SQZ_HEAD_NONE,
               all = plan->thousandths >= SQZI_HEALING_ALL;
    const sqz_dataset *dataset = by_rows ? data->learn : data->sentences;
    sqz_batches_options o = {.batch = c->options.batch,
                             .seed = c->options.seed,
                             .texts = by_rows ? data->sentences : NULL};
    *d = (sqzi_healing_data){0};
    if (!all) {
        TRY(shuffle_rows(c, dataset, d, error));
        o.rows = d->rows;
        o.n_rows = share_of(d->n_rows, plan->thousandths, o.batch);
    }
    if (!all && o.texts)
        o.most_pieces = 1 + pieces_of(o.texts) * plan->thousandths / SQZI_HEALING_ALL;
    TRY(sqz_batches_open(dataset, &o, &d->batches, error));
fail:
    return status;
}

void sqzi_healing_close(const sqzi_compressor *c, sqzi_healing_data *d)
{
    sqz_batches_close(d->batches);
    sqzi_release(c->allocator, d->rows, d->n_rows * sizeof *d->rows);
    *d = (sqzi_healing_data){0};
}
