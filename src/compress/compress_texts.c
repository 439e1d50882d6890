/* SPDX-License-Identifier: Apache-2.0 */
/* What is learned of texts: the list to calibrate on, and pieces of what has no labels. */
#include "base/error.h"
#include "compress/compressor.h"
#include "eval/dataset_reader.h"

/* ---- texts beside rows ---- */

/* Those that are chosen or reported on are not learned. */
static sqz_status leave_out_held(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_compress_data *d = &c->data;
    const sqz_squeeze_options *o = &c->options.levers;
    bool *held = NULL;
    if (!c->options.dataset || !o->n_texts) return SQZ_OK;
    held = sqzi_allocate_zeroed(c->allocator, o->n_texts, sizeof *held);
    d->apart = sqzi_allocate(c->allocator, o->n_texts * sizeof *d->apart);
    FAIL_IF(!held || !d->apart, SQZ_ENOMEM, 0, "no memory for a list of %zu texts", o->n_texts);
    for (int p = 0; p < SQZI_COMPRESS_PARTS; p++)
        TRY(sqzi_dataset_find_texts(d->rows[p], o->texts, o->n_texts, held, error));
    for (size_t i = 0; i < o->n_texts; i++)
        if (!held[i]) d->apart[d->n_plain++] = o->texts[i];
    d->plain = d->apart;
    c->result->n_left_out = o->n_texts - d->n_plain;
fail:
    sqzi_release(c->allocator, held, o->n_texts * sizeof *held);
    return status;
}

/* ---- all of them ---- */

static void add(sqzi_compress_data *d, sqz_text text)
{
    if (text.n_bytes) d->calibrate[d->n_calibrate++] = text;
}

/* Texts of the rows, then the others. */
static sqz_status gather(sqzi_compressor *c, sqz_error *error)
{
    sqzi_compress_data *d = &c->data;
    size_t n = 0;
    const sqz_example *rows = d->learn ? sqz_dataset_examples(d->learn, &n) : NULL;
    d->calibrate_made = 2 * n + d->n_plain;
    d->calibrate = sqzi_allocate(c->allocator, d->calibrate_made * sizeof *d->calibrate);
    if (!d->calibrate)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a list of %zu texts",
                         d->calibrate_made);
    for (size_t i = 0; i < n; i++) {
        add(d, rows[i].input.text);
        if (rows[i].input.pair) add(d, rows[i].input.second);
    }
    for (size_t i = 0; i < d->n_plain; i++) add(d, d->plain[i]);
    return SQZ_OK;
}

/* ---- pieces ---- */

/* What is learned without labels: sentences of plain texts; of a model of embeddings the texts of
 * the rows as well. */
static sqz_status open_sentences(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_compress_data *d = &c->data;
    const bool all = !d->learn || sqzi_compress_embeds(c);
    const sqz_texts_options o = {.whole = d->learn && !d->n_plain};
    if (!all && !d->n_plain) return SQZ_OK;
    TRY(sqz_dataset_open_texts(c->context, "texts", all ? d->calibrate : d->plain,
                               all ? d->n_calibrate : d->n_plain, &o, &d->sentences, error));
    TRY(sqz_dataset_tokenize(d->sentences, sqz_model_embed_tokenizer(c->base), c->max_length,
                             error));
fail:
    return status;
}

/* ---- the whole ---- */

sqz_status sqzi_compress_open_texts(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(leave_out_held(c, error));
    TRY(gather(c, error));
    TRY(open_sentences(c, error));
fail:
    return status;
}

void sqzi_compress_close_texts(sqzi_compressor *c)
{
    sqzi_compress_data *d = &c->data;
    const size_t n = c->options.levers.n_texts;
    sqz_dataset_close(d->sentences);
    sqzi_release(c->allocator, d->calibrate, d->calibrate_made * sizeof *d->calibrate);
    sqzi_release(c->allocator, d->apart, n * sizeof *d->apart);
}
