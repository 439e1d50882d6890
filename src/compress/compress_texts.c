/* SPDX-License-Identifier: Apache-2.0 */
/* What is learned of texts: the list to calibrate on, and pieces of what has no labels. */
#include <string.h>

#include "base/error.h"
#include "compress/compressor.h"
#include "data/sentences.h"
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

/* ---- behind prompts ---- */

enum { SIDES = 2, PROMPTS = SIDES + 1 };

/* What is read: texts behind their prompts.
 *
 *   prompts   of the sides of a search, and the default one; "": none
 *   sides     rows are pairs of a search; else every text is read behind the default prompt
 */
typedef struct reading {
    sqzi_compressor *c;
    bool sides, whole;
    const char *prompts[PROMPTS];
    sqzi_text_store store;
    sqzi_buffer list; /* sqz_text */
} reading;

static reading reading_of(sqzi_compressor *c, bool whole)
{
    const sqzi_compress_data *d = &c->data;
    const char *usual = sqz_model_prompt(c->base, NULL);
    return (reading){.c = c,
                     .sides = d->learn && sqz_dataset_kind(d->learn) == SQZ_LABELS_NONE,
                     .whole = whole,
                     .prompts = {sqz_model_role_prompt(c->base, SQZ_ROLE_QUERY),
                                 sqz_model_role_prompt(c->base, SQZ_ROLE_PASSAGE),
                                 usual ? usual : ""},
                     .store = {.allocator = c->allocator},
                     .list = {.allocator = c->allocator, .limit = SIZE_MAX}};
}

/* Vectors are learned, and there is a prompt to some of them. */
static bool has_prompts(const reading *r)
{
    const sqz_head_kind head = r->c->base->info.head;
    if (head == SQZ_HEAD_SEQUENCE || head == SQZ_HEAD_TOKEN) return false;
    return *r->prompts[SIDES] || (r->sides && (*r->prompts[0] || *r->prompts[1]));
}

static sqz_status put_behind(reading *r, const char *prompt, sqz_text text, sqz_error *error)
{
    const size_t n = strlen(prompt);
    char *to = sqzi_store_take(&r->store, n + text.n_bytes);
    if (!to) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a prompt and a text");
    memcpy(to, prompt, n);
    memcpy(to + n, text.bytes, text.n_bytes);
    const sqz_text joined = {to, n + text.n_bytes};
    return sqzi_buffer_append(&r->list, &joined, sizeof joined, error);
}

/* Texts [n], or their sentences. */
static sqz_status put_all(reading *r, const char *prompt, const sqz_text *texts, size_t n,
                          sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_sentences cut = {0};
    if (!r->whole) {
        TRY(sqzi_sentences_make(r->c->allocator, texts, n, &cut, error));
        texts = cut.all;
        n = cut.n;
    }
    for (size_t i = 0; i < n; i++)
        if (texts[i].n_bytes) TRY(put_behind(r, prompt, texts[i], error));
fail:
    sqzi_sentences_discard(&cut);
    return status;
}

/* The first or the second texts of the rows. */
static sqz_status put_side(reading *r, int side, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    const sqz_example *rows = sqz_dataset_examples(r->c->data.learn, &n);
    sqz_text *texts = sqzi_allocate(r->c->allocator, n * sizeof *texts);
    FAIL_IF(!texts, SQZ_ENOMEM, 0, "no memory for a list of %zu texts", n);
    for (size_t i = 0; i < n; i++) texts[i] = side ? rows[i].input.second : rows[i].input.text;
    TRY(put_all(r, r->prompts[side], texts, n, error));
fail:
    sqzi_release(r->c->allocator, texts, n * sizeof *texts);
    return status;
}

static sqz_status open_prompted(reading *r, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_compress_data *d = &r->c->data;
    const sqz_texts_options o = {.whole = 1};
    for (int side = 0; r->sides && side < SIDES; side++) TRY(put_side(r, side, error));
    TRY(put_all(r, r->prompts[SIDES], r->sides ? d->plain : d->calibrate,
                r->sides ? d->n_plain : d->n_calibrate, error));
    TRY(sqz_dataset_open_texts(r->c->context, "texts", (const void *)r->list.data,
                               r->list.used / sizeof(sqz_text), &o, &d->sentences, error));
fail:
    sqzi_buffer_free(&r->list);
    sqzi_store_free(&r->store);
    return status;
}

/* ---- pieces ---- */

/* What is learned without labels: sentences of plain texts; of a model of embeddings the texts of
 * the rows as well. They are read as the score reads them, prompts included. */
static sqz_status open_sentences(sqzi_compressor *c, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_compress_data *d = &c->data;
    const bool all = !d->learn || sqzi_compress_embeds(c);
    const sqz_texts_options o = {.whole = d->learn && !d->n_plain};
    reading r = reading_of(c, o.whole);
    const bool prompted = has_prompts(&r);
    if (!all && !d->n_plain) return SQZ_OK;
    if (prompted) TRY(open_prompted(&r, error));
    else
        TRY(sqz_dataset_open_texts(c->context, "texts", all ? d->calibrate : d->plain,
                                   all ? d->n_calibrate : d->n_plain, &o, &d->sentences, error));
    TRY(sqz_dataset_tokenize(d->sentences, sqz_model_embed_tokenizer(c->base), c->max_length,
                             error));
    if (prompted)
        TRY(sqzi_dataset_skip_prompts(d->sentences, c->base, r.prompts, PROMPTS, c->max_length,
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
