/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of examples beside rows of a batch, and their file. */
#include "train/teacher_cache.h"

#include <squeezebert/version.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "rewrite/keyed_file.h"

enum { FORM = 1 }; /* of the file */
static const char kind[] = "teacher";

static SQZI_PRINTF(2, 3) void say(const sqzi_teacher_cache *c, const char *format, ...)
{
    char text[600];
    va_list arguments;
    if (!c->note) return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    c->note(c->user, text);
}

/* Teacher, type, kernels and the pieces of all examples. */
static void make_key(const sqz_context *context, const sqzi_teacher_keep *keep,
                     sqzi_teacher_cache *c)
{
    sqzi_sha256 hash;
    char text[400];
    const sqzk_table *kernels = &context->kernels;
    const int n = snprintf(text, sizeof text, "%d %s %s %s %s %s %s %s %zu %zu", FORM,
                           sqz_version_text(), context->features_used, kernels->gemm_f32->name,
                           kernels->gemm_s8->name, kernels->rows_level, keep->teacher->sha256,
                           keep->teacher->rounded ? keep->teacher->rounded : "", c->classes,
                           c->dimensions);
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, text, (size_t)n + 1);
    for (uint32_t i = 0; i < c->n; i++) {
        const sqz_train_example *own = &keep->data->examples[i],
                                *e = own->teachers ? own->teachers : own;
        const uint32_t head[] = {e->n_tokens, e->types != NULL, e->skip};
        sqzi_sha256_update(&hash, head, sizeof head);
        sqzi_sha256_update(&hash, e->ids, e->n_tokens * sizeof *e->ids);
        if (e->types) sqzi_sha256_update(&hash, e->types, e->n_tokens);
    }
    sqzi_sha256_final(&hash, c->key);
}

/* ---- memory ---- */

static void lay_out(sqzi_teacher_cache *c, uint64_t items, sqzi_arena *arena)
{
    c->first = sqzi_arena_take(arena, (size_t)c->n + 1, sizeof *c->first);
    c->logits = sqzi_arena_take(arena, items * c->classes, sizeof *c->logits);
    c->embeddings = sqzi_arena_take(arena, c->n * c->dimensions, sizeof *c->embeddings);
    c->known = sqzi_arena_take(arena, c->n, 1);
}

static uint64_t count_items(const sqzi_teacher_keep *keep)
{
    uint64_t items = 0;
    for (uint32_t i = 0; i < keep->data->n_examples; i++)
        items += keep->plan->tokens ? keep->data->examples[i].n_tokens : 1;
    return items;
}

static sqz_status make_room(const sqz_context *context, const sqzi_teacher_keep *keep,
                            uint64_t items, sqzi_teacher_cache *c, sqz_error *error)
{
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(c, items, &arena);
    c->block = sqzi_allocate(&context->allocator, arena.used);
    if (!c->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0,
                         "no memory for %zu bytes of the teacher's outputs: keep none of them",
                         arena.used);
    c->allocator = &context->allocator;
    c->bytes = arena.used;
    arena = sqzi_arena_over(c->block, c->bytes);
    lay_out(c, items, &arena);
    memset(c->known, 0, c->n);
    c->first[0] = 0;
    for (uint32_t i = 0; i < c->n; i++)
        c->first[i + 1] = c->first[i] + (keep->plan->tokens ? keep->data->examples[i].n_tokens : 1);
    return SQZ_OK;
}

void sqzi_teacher_cache_close(sqzi_teacher_cache *c)
{
    if (c->allocator) sqzi_release(c->allocator, c->block, c->bytes);
    *c = (sqzi_teacher_cache){0};
}

/* ---- the file ---- */

/* What it holds: one tensor, or two. */
static uint32_t list(const sqzi_teacher_cache *c, sqzi_keyed_tensor tensors[2])
{
    uint32_t n = 0;
    if (c->classes)
        tensors[n++] = (sqzi_keyed_tensor){"logits", SQZI_F32, c->first[c->n], c->classes,
                                           c->logits};
    if (c->dimensions)
        tensors[n++] = (sqzi_keyed_tensor){"embeddings", SQZI_F32, c->n, c->dimensions,
                                           c->embeddings};
    return n;
}

static sqz_status load(sqzi_teacher_cache *c, sqz_error *error)
{
    sqz_error why = {0};
    sqzi_keyed_file file;
    sqzi_keyed_tensor found[2], own[2];
    const uint32_t n = list(c, own);
    memcpy(found, own, n * sizeof *own);
    const sqz_status status = sqzi_keyed_open(c->allocator, c->path, kind, c->key, found, n, &file,
                                              &why);
    for (uint32_t i = 0; status == SQZ_OK && i < n; i++)
        memcpy(i == 0 && c->classes ? c->logits : c->embeddings, found[i].data,
               found[i].rows * found[i].width * sizeof(float));
    if (status == SQZ_OK) {
        memset(c->known, 1, c->n);
        c->n_known = c->n;
        c->saved = true;
    } else if (file.map.data && status != SQZ_ENOMEM && status != SQZ_EOUTPUT)
        say(c,
            "%.300s: damaged, or of another teacher, other texts or another machine: the "
            "teacher's outputs are made anew",
            c->path);
    sqzi_keyed_close(&file);
    if (status != SQZ_ENOMEM && status != SQZ_EOUTPUT) return SQZ_OK;
    return sqzi_fail(error, status, 0, "%s", why.text);
}

static void save(sqzi_teacher_cache *c)
{
    sqz_error why = {0};
    sqzi_keyed_tensor tensors[2];
    const uint32_t n = list(c, tensors);
    if (sqzi_keyed_save(c->allocator, c->path, kind, c->key, tensors, n, &why) != SQZ_OK)
        say(c, "the teacher's outputs are not kept in a file: %.300s", why.text);
    c->saved = true;
}

sqz_status sqzi_teacher_cache_open(const sqz_context *context, const sqzi_teacher_keep *keep,
                                   sqzi_teacher_cache *c, sqz_error *error)
{
    const uint32_t needs = keep->teacher->needs;
    *c = (sqzi_teacher_cache){.path = keep->path,
                              .n = keep->data->n_examples,
                              .classes = needs & SQZI_NEEDS_LOGITS ? keep->plan->classes : 0,
                              .dimensions = needs & SQZI_NEEDS_EMBEDDINGS
                                                ? keep->plan->teacher_dimensions
                                                : 0,
                              .note = keep->note,
                              .user = keep->user};
    const uint64_t items = count_items(keep),
                   bytes = sizeof(float) * (items * c->classes + (uint64_t)c->n * c->dimensions);
    if (bytes > keep->most) {
        say(c, "the teacher's outputs take %llu bytes, %llu may be kept: it runs in every epoch",
            (unsigned long long)bytes, (unsigned long long)keep->most);
        return SQZ_OK;
    }
    const sqz_status status = make_room(context, keep, items, c, error);
    if (status != SQZ_OK) return status;
    make_key(context, keep, c);
    return load(c, error);
}

/* ---- rows ---- */

/* Items of a sequence of the batch. */
static size_t items_of(const sqzi_teacher_cache *c, uint32_t row)
{
    return (size_t)(c->first[row + 1] - c->first[row]);
}

bool sqzi_teacher_cache_get(const sqzi_teacher_cache *c, const uint32_t *rows,
                            const sqzi_batch *batch, sqzi_teacher *t)
{
    size_t item = 0;
    for (uint32_t i = 0; i < batch->n_sequences; i++)
        if (!c->known[rows[i]]) return false;
    for (uint32_t i = 0; i < batch->n_sequences; i++) {
        const size_t row = rows[i], n = items_of(c, rows[i]);
        if (c->classes)
            memcpy(t->logits + item * c->classes, c->logits + (size_t)c->first[row] * c->classes,
                   n * c->classes * sizeof *t->logits);
        if (c->dimensions)
            memcpy(t->embeddings + i * c->dimensions, c->embeddings + row * c->dimensions,
                   c->dimensions * sizeof *t->embeddings);
        item += n;
    }
    t->outputs = (sqzi_outputs){.logits = t->logits, .embeddings = t->embeddings};
    return true;
}

void sqzi_teacher_cache_put(sqzi_teacher_cache *c, const uint32_t *rows, const sqzi_batch *batch,
                            const sqzi_teacher *t)
{
    size_t item = 0;
    for (uint32_t i = 0; i < batch->n_sequences; i++) {
        const size_t row = rows[i], n = items_of(c, rows[i]);
        if (c->classes)
            memcpy(c->logits + (size_t)c->first[row] * c->classes, t->logits + item * c->classes,
                   n * c->classes * sizeof *c->logits);
        if (c->dimensions)
            memcpy(c->embeddings + row * c->dimensions, t->embeddings + i * c->dimensions,
                   c->dimensions * sizeof *c->embeddings);
        c->n_known += !c->known[row];
        c->known[row] = 1;
        item += n;
    }
    if (c->n_known == c->n && !c->saved) save(c);
}
