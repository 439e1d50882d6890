/* SPDX-License-Identifier: Apache-2.0 */
/* A plan squeezed, or found again, with what it says of itself. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "compress/compressor.h"
#include "model/context.h"
#include "rewrite/keyed_file.h"
#include "squeeze/squeeze_history.h"

/* What squeezing tells is taken into an attempt. */
typedef struct told {
    sqzi_compressor *c;
    sqzi_compress_attempt *attempt;
    bool no_memory;
} told;

static bool make_room(told *t)
{
    sqzi_compress_attempt *a = t->attempt;
    const size_t n = a->rows_made ? 2 * a->rows_made : 128;
    sqzi_compress_row *rows = sqzi_allocate(t->c->allocator, n * sizeof *rows);
    if (!rows) return false;
    if (a->n_rows) memcpy(rows, a->rows, a->n_rows * sizeof *rows);
    sqzi_release(t->c->allocator, a->rows, a->rows_made * sizeof *rows);
    a->rows = rows;
    a->rows_made = n;
    return true;
}

static void take_part(void *user, const sqz_squeezed_part *part)
{
    told *t = user;
    sqzi_compress_attempt *a = t->attempt;
    if (a->n_rows == a->rows_made && !make_room(t)) {
        t->no_memory = true;
        return;
    }
    sqzi_compress_row *row = &a->rows[a->n_rows++];
    *row = (sqzi_compress_row){.error = part->error,
                               .bytes_before = part->bytes_before,
                               .bytes_after = part->bytes_after};
    snprintf(row->name, sizeof row->name, "%s", part->name);
    snprintf(row->from, sizeof row->from, "%s", part->from);
    snprintf(row->to, sizeof row->to, "%s", part->to);
}

static void take_result(void *user, const sqz_squeeze_result *result)
{
    told *t = user;
    t->attempt->told = *result;
}

static int watch(void *user, size_t done, size_t total)
{
    const told *t = user;
    const sqz_compress_options *o = &t->c->options;
    return o->progress ? o->progress(o->user, "steps of squeezing", done, total) : 0;
}

/* ---- kept beside the file ---- */

static const char kind[] = "squeezed";

static sqz_status save_parts(const sqzi_compressor *c, const sqzi_compress_attempt *a,
                             sqz_error *error)
{
    char path[SQZI_OUTPUT_PATH];
    const sqzi_keyed_tensor tensors[] = {{"parts", SQZI_I32, a->n_rows, sizeof *a->rows / 4,
                                          a->rows},
                                         {"result", SQZI_I32, 1, sizeof a->told / 4, &a->told}};
    sqzi_compress_name(c, "squeezed", a->key, ".parts", path);
    return sqzi_keyed_save(c->allocator, path, kind, a->key, tensors, 2, error);
}

/* Names that end within their room, as they are read as strings. */
static bool is_table(const sqzi_compress_row *rows, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (!memchr(rows[i].name, '\0', sizeof rows[i].name) ||
            !memchr(rows[i].from, '\0', sizeof rows[i].from) ||
            !memchr(rows[i].to, '\0', sizeof rows[i].to))
            return false;
    return n > 0;
}

/* What was squeezed before, file and table; a table that is damaged is as none. */
static sqz_status find(const sqzi_compressor *c, sqzi_compress_attempt *a, bool *found,
                       sqz_error *error)
{
    char path[SQZI_OUTPUT_PATH];
    sqz_error none = {0};
    sqzi_keyed_file file = {0};
    sqzi_keyed_tensor tensors[] = {{"parts", SQZI_I32, 0, sizeof *a->rows / 4, NULL},
                                   {"result", SQZI_I32, 1, sizeof a->told / 4, NULL}};
    sqz_status status = SQZ_OK;
    sqzi_compress_name(c, "squeezed", a->key, ".parts", path);
    *found = sqzi_compress_is_there(c, a->squeezed) &&
             sqzi_keyed_open(c->allocator, path, kind, a->key, tensors, 2, &file, &none) ==
                 SQZ_OK &&
             is_table(tensors[0].data, tensors[0].rows);
    if (!*found) goto fail;
    a->rows_made = a->n_rows = (size_t)tensors[0].rows;
    a->rows = sqzi_allocate(c->allocator, a->rows_made * sizeof *a->rows);
    FAIL_IF(!a->rows, SQZ_ENOMEM, 0, "no memory for a table of %zu parts", a->n_rows);
    memcpy(a->rows, tensors[0].data, a->n_rows * sizeof *a->rows);
    memcpy(&a->told, tensors[1].data, sizeof a->told);
fail:
    sqzi_keyed_close(&file);
    return status;
}

/* ---- the blocks that stay ---- */

static bool stays(const sqzi_compress_attempt *a, uint32_t block)
{
    char name[24];
    snprintf(name, sizeof name, "blk.%u.attn_q", block);
    for (size_t i = 0; i < a->n_rows; i++)
        if (strcmp(a->rows[i].name, name) == 0) return strcmp(a->rows[i].to, "removed") != 0;
    return false;
}

/* Each block's output is what the next one that stays read in the base, the last one's what the
 * base made. */
static sqz_status map_layers(const sqzi_compressor *c, sqzi_compress_attempt *a, sqz_error *error)
{
    const uint32_t n = c->base->info.n_layers;
    a->layers = sqzi_allocate_zeroed(c->allocator, n, sizeof *a->layers);
    if (!a->layers) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a map of %u layers", n);
    for (uint32_t i = 0; i < n; i++) {
        if (!stays(a, i)) continue;
        if (a->n_layers) a->layers[a->n_layers - 1] = i;
        a->n_layers++;
    }
    if (a->n_layers) a->layers[a->n_layers - 1] = n;
    return SQZ_OK;
}

/* ---- the whole ---- */

/* The levers that differ between attempts of a run. */
static void name_attempt(const sqzi_compressor *c, sqzi_compress_attempt *a)
{
    sqzi_sha256 hash;
    char line[SQZI_HISTORY_TEXT];
    sqzi_squeeze_history("squeeze", &a->levers, 0, 0, line);
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, c->folder.key, strlen(c->folder.key));
    sqzi_sha256_update(&hash, line, strlen(line));
    sqzi_sha256_update(&hash, &a->levers.budget, sizeof a->levers.budget);
    sqzi_sha256_final(&hash, a->key);
    sqzi_compress_name(c, "squeezed", a->key, ".gguf", a->squeezed);
}

static sqz_squeeze_options with_texts(const sqzi_compressor *c, const sqz_squeeze_options *levers)
{
    sqz_squeeze_options o = *levers;
    o.texts = c->data.calibrate;
    o.n_texts = c->data.n_calibrate;
    o.no_fidelity = 1;
    return o;
}

sqz_status sqzi_compress_check_budget(const sqzi_compressor *c, sqz_error *error)
{
    const sqz_squeeze_options o = with_texts(c, &c->options.levers);
    const sqzi_squeeze_then then = {.history = c->history, .measured = &c->measured};
    return sqzi_squeeze_check_budget(c->context, c->path, &o, &then, error);
}

static sqz_status make(sqzi_compressor *c, sqzi_compress_attempt *a, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    told t = {.c = c, .attempt = a};
    sqz_squeeze_options o = with_texts(c, &a->levers);
    o.part = take_part;
    o.result = take_result;
    o.progress = watch;
    o.user = &t;
    const sqzi_squeeze_then then = {.history = c->history,
                                    .cache = c->out ? c->options.folder : NULL,
                                    .measured = &c->measured,
                                    .unmet = &a->unmet};
    TRY(sqzi_squeeze_for(c->context, c->path, c->out ? a->squeezed : NULL, &o, &then, error));
    FAIL_IF(t.no_memory, SQZ_ENOMEM, 0, "no memory for a table of parts");
    if (c->out) TRY(save_parts(c, a, error));
fail:
    return status;
}

sqz_status sqzi_compress_squeeze(sqzi_compressor *c, const sqz_squeeze_options *levers,
                                 sqzi_compress_attempt *a, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    bool found = false;
    *a = (sqzi_compress_attempt){.levers = *levers};
    name_attempt(c, a);
    if (c->out) TRY(find(c, a, &found, error));
    if (!found) TRY(make(c, a, error));
    TRY(map_layers(c, a, error));
fail:
    return status;
}

void sqzi_compress_discard(const sqzi_compressor *c, sqzi_compress_attempt *a)
{
    sqzi_release(c->allocator, a->rows, a->rows_made * sizeof *a->rows);
    sqzi_release(c->allocator, a->layers, c->base->info.n_layers * sizeof *a->layers);
    *a = (sqzi_compress_attempt){0};
}

void sqzi_compress_tell(const sqzi_compressor *c, const sqzi_compress_attempt *a)
{
    const sqz_compress_options *o = &c->options;
    c->result->squeezed = a->told;
    for (size_t i = 0; o->part && i < a->n_rows; i++) {
        const sqzi_compress_row *row = &a->rows[i];
        o->part(o->user, &(sqz_squeezed_part){.name = row->name,
                                              .from = row->from,
                                              .to = row->to,
                                              .error = row->error,
                                              .bytes_before = row->bytes_before,
                                              .bytes_after = row->bytes_after});
    }
}
