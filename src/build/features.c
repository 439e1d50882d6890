/* SPDX-License-Identifier: Apache-2.0 */
/* Running the encoder over the rows that nobody has computed yet. */
#include "build/features.h"

#include <squeezebert/session.h>
#include <squeezebert/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sha256.h"

enum { FORM = 1, BATCH_TOKENS = 4096, NONE = 0, READ = 1, KNOWN = 2 };

static void lay_out(sqzi_features *f, sqzi_arena *arena)
{
    f->rows = sqzi_arena_take(arena, f->n, f->width * sizeof *f->rows);
    f->keys = sqzi_arena_take(arena, f->n, SQZI_FEATURE_KEY * sizeof *f->keys);
    f->order = sqzi_arena_take(arena, f->n, sizeof *f->order);
}

static sqz_status make(const sqzi_features_from *from, sqzi_features *f, sqz_error *error)
{
    size_t n;
    (void)sqz_dataset_examples(from->dataset, &n);
    *f = (sqzi_features){.allocator = &from->model->context->allocator,
                         .n = (uint32_t)n,
                         .width = from->model->info.width};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(f, &arena);
    f->block = sqzi_allocate(f->allocator, arena.used);
    if (!f->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes of features", arena.used);
    f->bytes = arena.used;
    arena = sqzi_arena_over(f->block, f->bytes);
    lay_out(f, &arena);
    return SQZ_OK;
}

void sqzi_features_discard(sqzi_features *f)
{
    if (f->allocator) sqzi_release(f->allocator, f->block, f->bytes);
    *f = (sqzi_features){0};
}

/* ---- keys ---- */

static void file_key(const sqzi_features_from *from, char key[SQZI_SHA256_HEX])
{
    sqzi_sha256 hash;
    const sqz_model *model = from->model;
    const sqzk_table *kernels = &model->context->kernels;
    char text[400];
    const int n = snprintf(text, sizeof text, "%d %s %s %s %s %s %d", FORM, sqz_version_text(),
                           model->context->features_used, kernels->gemm_f32->name,
                           kernels->gemm_s8->name, kernels->rows_level, (int)from->pooling);
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, text, (size_t)n + 1);
    sqzi_sha256_update(&hash, model->map.data, model->map.bytes);
    sqzi_sha256_final(&hash, key);
}

static void row_key(const sqz_example_pieces *pieces, int32_t key[SQZI_FEATURE_KEY])
{
    sqzi_sha256 hash;
    char hex[SQZI_SHA256_HEX], part[9] = "";
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, pieces->ids, pieces->n * sizeof *pieces->ids);
    sqzi_sha256_update(&hash, pieces->types, pieces->n);
    sqzi_sha256_final(&hash, hex);
    for (int i = 0; i < SQZI_FEATURE_KEY; i++) {
        memcpy(part, hex + 8 * i, 8);
        const uint32_t number = (uint32_t)strtoul(part, NULL, 16);
        memcpy(&key[i], &number, sizeof number);
    }
}

typedef struct keyed {
    int32_t key[SQZI_FEATURE_KEY];
    uint32_t row;
} keyed;

static int by_key(const void *left, const void *right)
{
    const keyed *a = left, *b = right;
    const int order = memcmp(a->key, b->key, sizeof a->key);
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

static sqz_status find_order(sqzi_features *f, sqz_error *error)
{
    keyed *all = sqzi_allocate(f->allocator, f->n * sizeof *all);
    if (!all) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to sort %u rows", f->n);
    for (uint32_t i = 0; i < f->n; i++) {
        memcpy(all[i].key, f->keys + (size_t)i * SQZI_FEATURE_KEY, sizeof all[i].key);
        all[i].row = i;
    }
    qsort(all, f->n, sizeof *all, by_key);
    for (uint32_t i = 0; i < f->n; i++) f->order[i] = all[i].row;
    sqzi_release(f->allocator, all, f->n * sizeof *all);
    return SQZ_OK;
}

static bool same_key(const sqzi_features *f, uint32_t a, uint32_t b)
{
    return memcmp(f->keys + (size_t)a * SQZI_FEATURE_KEY, f->keys + (size_t)b * SQZI_FEATURE_KEY,
                  SQZI_FEATURE_KEY * sizeof *f->keys) == 0;
}

/* ---- running the model ---- */

typedef struct work {
    const sqzi_features_from *from;
    sqzi_features *f;
    sqz_session *session;
    unsigned char *state;   /* [n] NONE, READ, KNOWN */
    uint32_t *todo, n_todo; /* [n] rows, by length */
    uint32_t *ids, *first;  /* [most_tokens], [most_tokens + 1] */
    unsigned char *types;
    float *out; /* [most_tokens, width]: no sequence is empty */
    uint32_t most_tokens;
    void *block;
    size_t bytes;
} work;

typedef struct lengthy {
    uint32_t n, row;
} lengthy;

static int by_length(const void *left, const void *right)
{
    const lengthy *a = left, *b = right;
    return a->n != b->n ? (a->n > b->n) - (a->n < b->n) : (a->row > b->row) - (a->row < b->row);
}

/* The first row of each key that is not known, the short ones first. */
static sqz_status find_todo(work *w, sqz_error *error)
{
    const sqzi_features *f = w->f;
    lengthy *all = sqzi_allocate(f->allocator, f->n * sizeof *all);
    if (!all) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to sort %u rows", f->n);
    for (uint32_t i = 0; i < f->n; i++) {
        const uint32_t row = f->order[i];
        if (w->state[row] == KNOWN || (i && same_key(f, row, f->order[i - 1]))) continue;
        all[w->n_todo++] = (lengthy){sqz_dataset_pieces(w->from->dataset, row).n, row};
    }
    qsort(all, w->n_todo, sizeof *all, by_length);
    for (uint32_t i = 0; i < w->n_todo; i++) w->todo[i] = all[i].row;
    if (w->n_todo && all[w->n_todo - 1].n > w->most_tokens) w->most_tokens = all[w->n_todo - 1].n;
    sqzi_release(f->allocator, all, f->n * sizeof *all);
    return SQZ_OK;
}

static void lay_out_work(work *w, sqzi_arena *arena)
{
    w->ids = sqzi_arena_take(arena, w->most_tokens, sizeof *w->ids);
    w->first = sqzi_arena_take(arena, (size_t)w->most_tokens + 1, sizeof *w->first);
    w->types = sqzi_arena_take(arena, w->most_tokens, 1);
    w->out = sqzi_arena_take(arena, w->most_tokens, w->f->width * sizeof *w->out);
}

static sqz_status run_batch(work *w, uint32_t begin, uint32_t n, sqz_error *error)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        const sqz_example_pieces p = sqz_dataset_pieces(w->from->dataset, w->todo[begin + i]);
        memcpy(w->ids + used, p.ids, p.n * sizeof *p.ids);
        memcpy(w->types + used, p.types, p.n);
        w->first[i] = used;
        used += p.n;
    }
    w->first[n] = used;
    const sqz_batch batch = {.ids = w->ids, .types = w->types, .first = w->first, .n_sequences = n};
    const sqz_embed_options o = {.pooling = w->from->pooling, .normalize = SQZ_NORMALIZE_NO};
    const sqz_status status = sqz_embed(w->session, &batch, &o, w->out, w->f->width, error);
    for (uint32_t i = 0; status == SQZ_OK && i < n; i++) {
        memcpy(w->f->rows + (size_t)w->todo[begin + i] * w->f->width,
               w->out + (size_t)i * w->f->width, w->f->width * sizeof *w->out);
        w->state[w->todo[begin + i]] = READ;
    }
    return status;
}

static sqz_status run_all(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (uint32_t at = 0; at < w->n_todo;) {
        uint32_t n = 0, tokens = 0;
        for (; at + n < w->n_todo; n++) {
            const uint32_t more = sqz_dataset_pieces(w->from->dataset, w->todo[at + n]).n;
            if (n && tokens + more > BATCH_TOKENS) break;
            tokens += more;
        }
        TRY(run_batch(w, at, n, error));
        at += n;
        FAIL_IF(w->from->progress &&
                    w->from->progress(w->from->user, "texts read", at, w->n_todo) != 0,
                SQZ_ECANCELLED, 0, "stopped after %u of %u texts", at, w->n_todo);
    }
    w->f->n_read = w->n_todo;
fail:
    return status;
}

static sqz_status run_model(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    w->most_tokens = BATCH_TOKENS;
    TRY(find_todo(w, error));
    if (!w->n_todo) return SQZ_OK;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out_work(w, &arena);
    w->block = sqzi_allocate(w->f->allocator, arena.used);
    FAIL_IF(!w->block, SQZ_ENOMEM, 0, "no memory for %zu bytes of a batch", arena.used);
    w->bytes = arena.used;
    arena = sqzi_arena_over(w->block, w->bytes);
    lay_out_work(w, &arena);
    const sqz_session_options o = {.max_tokens = w->most_tokens, .max_sequences = w->most_tokens};
    TRY(sqz_session_open(w->from->model, &o, &w->session, error));
    TRY(run_all(w, error));
fail:
    return status;
}

/* ---- all of it ---- */

static void say(const sqzi_features_from *from, const char *text)
{
    if (from->note) from->note(from->user, text);
}

/* Rows of one key are those of the first. */
static void copy_repeats(work *w)
{
    sqzi_features *f = w->f;
    for (uint32_t i = 1; i < f->n; i++) {
        const uint32_t row = f->order[i], before = f->order[i - 1];
        if (w->state[row] == NONE && same_key(f, row, before)) {
            memcpy(f->rows + (size_t)row * f->width, f->rows + (size_t)before * f->width,
                   f->width * sizeof *f->rows);
            w->state[row] = READ;
        }
    }
}

static sqz_status fill(work *w, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char key[SQZI_SHA256_HEX], text[600];
    sqz_error why = {0};
    bool damaged = false;
    file_key(w->from, key);
    if (w->from->cache)
        TRY(sqzi_features_load(w->f, w->from->cache, key, w->state, &damaged, error));
    for (uint32_t i = 0; i < w->f->n; i++) w->state[i] = w->state[i] ? KNOWN : NONE;
    if (damaged) {
        snprintf(text, sizeof text,
                 "%.300s: damaged, or of another model or machine: it is made anew",
                 w->from->cache);
        say(w->from, text);
    }
    TRY(run_model(w, error));
    copy_repeats(w);
    if (w->from->cache && w->n_todo) status = sqzi_features_save(w->f, w->from->cache, key, &why);
    if (status == SQZ_ENOMEM) return sqzi_fail(error, status, 0, "%s", why.text);
    if (status != SQZ_OK) {
        status = SQZ_OK;
        snprintf(text, sizeof text, "what was read of the texts is not kept: %s", why.text);
        say(w->from, text);
    }
fail:
    return status;
}

sqz_status sqzi_features_make(const sqzi_features_from *from, sqzi_features *f, sqz_error *error)
{
    work w = {.from = from, .f = f};
    sqz_status status = make(from, f, error);
    if (status != SQZ_OK) return status;
    w.state = sqzi_allocate_zeroed(f->allocator, f->n, 1);
    w.todo = sqzi_allocate(f->allocator, f->n * sizeof *w.todo);
    for (uint32_t i = 0; i < f->n; i++) {
        const sqz_example_pieces p = sqz_dataset_pieces(from->dataset, i);
        row_key(&p, f->keys + (size_t)i * SQZI_FEATURE_KEY);
    }
    status = find_order(f, error);
    if (!w.state || !w.todo) status = sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for rows");
    if (status == SQZ_OK) status = fill(&w, error);
    sqz_session_close(w.session);
    sqzi_release(f->allocator, w.block, w.bytes);
    sqzi_release(f->allocator, w.todo, f->n * sizeof *w.todo);
    sqzi_release(f->allocator, w.state, f->n);
    return status;
}
