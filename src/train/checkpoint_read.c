/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints read: the newest that is whole and belongs to the run. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file_writer.h"
#include "io/checksum.h"
#include "train/checkpoint_file.h"

enum { HASH_BYTES = 16 << 20 }; /* of a file that are in memory while it is hashed */

void sqzi_checkpoint_level(const sqz_trainer *t, char level[SQZI_LEVEL_TEXT])
{
    const sqzk_table *kernels = &t->context->kernels;
    const int n = snprintf(level, SQZI_LEVEL_TEXT, "%s, rows %s, gradients %s",
                           kernels->gemm_f32->name, kernels->rows_level, t->kernels.rows_level);
    if (t->recipe.precision == SQZ_PRECISION_BF16)
        snprintf(level + n, SQZI_LEVEL_TEXT - (size_t)n, ", %s, attention %s",
                 kernels->gemm_bf16->name, kernels->attention_bf16->name);
}

const char *sqzi_checkpoint_base(sqz_trainer *t)
{
    const sqzi_file_map *map = &t->trainable.model->map;
    sqzi_sha256 hash;
    if (*t->base_sha256) return t->base_sha256;
    sqzi_sha256_init(&hash);
    for (size_t at = 0, n; at < map->bytes; at += n) {
        n = map->bytes - at < HASH_BYTES ? map->bytes - at : HASH_BYTES;
        sqzi_sha256_update(&hash, map->data + at, n);
        sqzi_file_map_drop(map, at, n);
    }
    sqzi_sha256_final(&hash, t->base_sha256);
    return t->base_sha256;
}

/* ---- an open file ---- */

typedef struct opened {
    char path[SQZI_OUTPUT_PATH];
    sqzi_file_map map;
    sqzi_gguf *gguf;
} opened;

static void close_file(opened *o)
{
    sqzi_gguf_close(o->gguf);
    sqzi_file_map_close(&o->map);
    o->gguf = NULL;
}

/* Whole: it has checksums, and they agree. */
static sqz_status open_file(const sqz_trainer *t, const char *folder, const char *kind,
                            uint64_t step, opened *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    bool there = false;
    *o = (opened){0};
    sqzi_checkpoint_path(folder, kind, step, o->path);
    TRY(sqzi_file_map_open(o->path, &o->map, error));
    TRY(sqzi_gguf_open(&t->context->allocator, o->path, o->map.data, o->map.bytes, &o->gguf,
                       error));
    TRY(sqzi_checksum_check(&o->map, o->gguf, &there, error));
    FAIL_IF(!there, SQZ_EFORMAT, 0, "it has no checksums");
    return SQZ_OK;
fail:
    if (error && strncmp(error->text, o->path, strlen(o->path)) != 0)
        sqzi_error_prefix(error, o->path);
    close_file(o);
    return status;
}

static sqz_status get_u64(const sqzi_gguf *gguf, const char *key, uint64_t *out, sqz_error *error)
{
    const sqzi_gguf_value *value = sqzi_gguf_find(gguf, key);
    if (!value || value->is_array || value->type != SQZI_GGUF_U64)
        return sqzi_fail(error, SQZ_EFORMAT, value ? value->offset : 0,
                         "metadata '%s' is missing, or no U64", key);
    *out = sqzi_gguf_uint(value, 0);
    return SQZ_OK;
}

bool sqzi_checkpoint_finished(const sqzi_checkpoints *c, const sqz_trainer *t, uint64_t step,
                              bool *finished)
{
    opened o;
    if (open_file(t, c->folder, "step", step, &o, NULL) != SQZ_OK) return false;
    const bool known = sqzi_gguf_get_bool(o.gguf, "sqz.train.finished", true, finished, NULL) ==
                       SQZ_OK;
    close_file(&o);
    return known;
}

/* ---- does it belong to the run? ---- */

static sqz_status compare(const opened *o, const char *key, const char *wanted, const char *what,
                          sqz_error *error)
{
    sqzi_span found = {"", 0};
    const sqz_status status = sqzi_gguf_get_string(o->gguf, key, true, &found, error);
    if (status != SQZ_OK || sqzi_span_is(found, wanted)) return status;
    size_t at = 0;
    while (at < found.n && wanted[at] && found.bytes[at] == wanted[at]) at++;
    while (at > 0 && found.bytes[at - 1] != ',' && found.bytes[at - 1] != '{') at--;
    const size_t n = found.n - at > 60 ? 60 : found.n - at;
    return sqzi_fail(error, SQZ_EINVAL, 0, "%.300s: %s; it has %.*s, and this run %.60s", o->path,
                     what, (int)n, found.bytes + at, wanted + at);
}

static sqz_status check_run(const sqzi_checkpoints *c, sqz_trainer *t, const opened *o,
                            sqz_error *error)
{
    char level[SQZI_LEVEL_TEXT];
    sqz_status status = SQZ_OK;
    sqzi_checkpoint_level(t, level);
    TRY(compare(o, "sqz.train.recipe", c->recipe, "it was made by another recipe", error));
    TRY(compare(o, "sqz.train.base", sqzi_checkpoint_base(t), "it began with another base", error));
    TRY(compare(o, "sqz.train.data", t->facts.sha256, "the data have changed since", error));
    TRY(compare(o, "sqz.train.level", level, "it was made with other kernels (--cpu chooses them)",
                error));
fail:
    return status;
}

/* ---- numbers ---- */

static sqz_status find_numbers(const sqzi_gguf *gguf, const char *prefix, const sqzi_parameter *p,
                               const sqzi_gguf_tensor **tensor, sqz_error *error)
{
    char name[SQZI_TENSOR_NAME + 16];
    snprintf(name, sizeof name, "%s%s", prefix, p->entry.name);
    const sqzi_gguf_tensor *t = *tensor = sqzi_gguf_find_tensor(gguf, name);
    const uint32_t n_dims = p->entry.columns ? 2 : 1;
    if (!t || t->type != SQZI_F32 || t->n_dims != n_dims || t->shape[0] != p->entry.rows ||
        (p->entry.columns && t->shape[1] != p->entry.columns))
        return sqzi_fail(error, SQZ_EFORMAT, t ? t->offset : 0,
                         "tensor '%s' is missing, or is not F32 [%u, %u]", name, p->entry.rows,
                         p->entry.columns);
    return SQZ_OK;
}

/* Twice over the same code: the first time only looks. */
static sqz_status load_numbers(sqz_trainer *t, const opened *o, bool best, bool look,
                               sqz_error *error)
{
    static const char *const prefixes[] = {"", "optim.m.", "optim.v."};
    sqz_status status = SQZ_OK;
    const sqzi_gguf_tensor *tensor;
    float *at = t->best;
    for (uint32_t i = 0; i < t->trainable.parameters.n; i++) {
        const sqzi_parameter *p = &t->trainable.parameters.list[i];
        float *const to[] = {best ? at : p->master, p->m, p->v};
        if (!p->trained) continue;
        for (int k = 0; k < (best ? 1 : 3); k++) {
            TRY(find_numbers(o->gguf, k == 0 && p->beside ? "optim.w." : prefixes[k], p, &tensor,
                             error));
            if (look) continue;
            sqzi_trainable_place(p, tensor->data, to[k]);
            sqzi_file_map_drop(&o->map, (size_t)tensor->offset, (size_t)tensor->bytes);
        }
        if (best && !look) at += p->n;
    }
fail:
    return status;
}

static sqz_status load_state(const sqz_trainer *t, const sqzi_gguf *gguf, sqzi_run_state *s,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(get_u64(gguf, "sqz.train.step", &s->step, error));
    TRY(get_u64(gguf, "sqz.train.best_step", &s->best_step, error));
    TRY(sqzi_gguf_get_f64(gguf, "sqz.train.best_score", true, &s->best_score, error));
    TRY(sqzi_gguf_get_u32(gguf, "sqz.train.worse", true, &s->worse, error));
    TRY(sqzi_gguf_get_bool(gguf, "sqz.train.stopped", true, &s->stopped, error));
    FAIL_IF(s->step > t->n_steps || s->best_step > s->step, SQZ_EFORMAT, 0,
            "step %llu, the best %llu, of %llu", (unsigned long long)s->step,
            (unsigned long long)s->best_step, (unsigned long long)t->n_steps);
fail:
    return status;
}

/* The best that a checkpoint speaks of. */
static sqz_status load_best(const sqzi_checkpoints *c, sqz_trainer *t, uint64_t step,
                            sqz_error *error)
{
    sqz_status status = SQZ_OK;
    opened o;
    status = open_file(t, c->folder, "best", step, &o, error);
    /* gone is as good as damaged */
    if (status == SQZ_EIO && access(o.path, F_OK) != 0) status = SQZ_EFORMAT;
    if (status != SQZ_OK) return status;
    status = load_numbers(t, &o, true, true, error);
    if (status == SQZ_OK) status = sqzi_trainer_keep_best(t, error); /* makes the room */
    if (status == SQZ_OK) status = load_numbers(t, &o, true, false, error);
    close_file(&o);
    return status;
}

/* ---- the whole ---- */

/* *alien: it is whole, and of another run. */
static sqz_status load(const sqzi_checkpoints *c, sqz_trainer *t, uint64_t step, bool *alien,
                       sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_run_state state = {0};
    opened o;
    *alien = false;
    TRY(open_file(t, c->folder, "step", step, &o, error));
    status = check_run(c, t, &o, error);
    *alien = status == SQZ_EINVAL;
    if (status == SQZ_OK) status = load_state(t, o.gguf, &state, error);
    if (status == SQZ_OK) status = load_numbers(t, &o, false, true, error);
    if (status == SQZ_OK && state.best_step) status = load_best(c, t, state.best_step, error);
    if (status == SQZ_OK) status = load_numbers(t, &o, false, false, error);
    if (status == SQZ_OK) t->state = state;
    close_file(&o);
fail:
    return status;
}

static void tell(const sqzi_checkpoints *c, const sqz_error *why, uint64_t older)
{
    char text[640];
    if (!c->note) return;
    if (older)
        snprintf(text, sizeof text, "%s; going on from the one before it, step %llu", why->text,
                 (unsigned long long)older);
    else snprintf(text, sizeof text, "%s; there is no other one: beginning anew", why->text);
    c->note(c->user, text);
}

sqz_status sqzi_checkpoint_resume(sqzi_checkpoints *c, sqz_trainer *t, bool *found,
                                  sqz_error *error)
{
    uint64_t step = 0, older = 0;
    bool more = sqzi_checkpoint_newest(c->folder, UINT64_MAX, &step), alien;
    *found = false;
    while (more) {
        sqz_error why = {0};
        const sqz_status status = load(c, t, step, &alien, &why);
        if (status == SQZ_OK) {
            *found = true;
            c->steps[0] = step;
            c->bests[0] = t->state.best_step;
            sqzi_trainable_pack(&t->trainable, false);
            return SQZ_OK;
        }
        /* what cannot be read may be whole */
        if (alien || status == SQZ_ENOMEM || status == SQZ_ERESOURCE || status == SQZ_EIO) {
            if (error) *error = why;
            return status;
        }
        older = 0;
        more = sqzi_checkpoint_newest(c->folder, step, &older);
        tell(c, &why, more ? older : 0);
        step = older;
    }
    return SQZ_OK;
}
