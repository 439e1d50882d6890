/* SPDX-License-Identifier: Apache-2.0 */
/* A base with a head that was fitted to it, as a model file. */
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "base/number.h"
#include "build/frozen.h"
#include "model/context.h"
#include "model/words.h"
#include "rewrite/rewrite.h"

/* The head's numbers as the file stores them. */
typedef struct tensors {
    float *dense, *dense_bias, *norm, *norm_bias, *output, *output_bias;
    sqzi_span *labels;
    void *block;
    size_t bytes;
} tensors;

static void lay_out(tensors *t, size_t width, size_t classes, sqzi_arena *arena)
{
    t->dense = sqzi_arena_take(arena, width, width * sizeof(float));
    t->dense_bias = sqzi_arena_take(arena, width, sizeof(float));
    t->norm = sqzi_arena_take(arena, width, sizeof(float));
    t->norm_bias = sqzi_arena_take(arena, width, sizeof(float));
    t->output = sqzi_arena_take(arena, classes, width * sizeof(float));
    t->output_bias = sqzi_arena_take(arena, classes, sizeof(float));
    t->labels = sqzi_arena_take(arena, classes, sizeof(sqzi_span));
}

static void fill(const sqzi_frozen *f, const char *const *labels, tensors *t)
{
    const size_t width = f->features->width;
    for (size_t i = 0; i < width; i++) {
        for (size_t j = 0; j < width; j++)
            t->dense[i * width + j] = i == j ? 1 / f->deviation[i] : 0;
        t->dense_bias[i] = -f->mean[i] / f->deviation[i];
        t->norm[i] = 1;
        t->norm_bias[i] = 0;
    }
    for (size_t k = 0; k < f->classes; k++) {
        for (size_t i = 0; i < width; i++)
            t->output[k * width + i] = (float)f->w[k * (width + 1) + i];
        t->output_bias[k] = (float)f->w[k * (width + 1) + width];
        t->labels[k] = sqzi_span_of(labels[k]);
    }
}

/* How much of an error of the hidden states arrives at a logit at most, as independent ones add
 * up. */
static double gain(const sqzi_frozen *f)
{
    const size_t width = f->features->width;
    double most = 1;
    for (size_t k = 0; k < f->classes; k++) {
        double squares = 0;
        for (size_t i = 0; i < width; i++) {
            const double w = f->w[k * (width + 1) + i] / (double)f->deviation[i];
            squares += w * w;
        }
        most = sqrt(squares) > most ? sqrt(squares) : most;
    }
    return most;
}

static bool leaves_out(const void *user, sqzi_span key)
{
    (void)user;
    return sqzi_span_begins(key, "sqz.head.");
}

static sqz_status put_metadata(const sqzi_frozen *f, const sqzi_frozen_file *file, const tensors *t,
                               sqzi_gguf_writer *writer, sqz_error *error)
{
    char history[120];
    snprintf(history, sizeof history, "build, a head on frozen states, C %s",
             SQZI_REAL(6, file->c));
    const sqzi_step step = {.history = history, .suffix = "-built"};
    const sqz_status status = sqzi_rewrite_metadata_but(writer, file->base, &step, leaves_out, NULL,
                                                        error);
    sqzi_gguf_put_string(writer, "sqz.head.kind", sqzi_head_words[SQZ_HEAD_SEQUENCE]);
    sqzi_gguf_put_string(writer, "sqz.head.pool", sqzi_pooling_names[file->pooling]);
    sqzi_gguf_put_string(writer, "sqz.head.problem", sqzi_problem_words[SQZ_SINGLE_LABEL]);
    sqzi_gguf_put_f64(writer, "sqz.head.norm_epsilon", SQZI_FROZEN_EPSILON);
    sqzi_gguf_put_f64(writer, "sqz.head.temperature", file->temperature);
    if (file->threshold > -HUGE_VAL)
        sqzi_gguf_put_f64(writer, "sqz.head.threshold", file->threshold);
    sqzi_gguf_put_strings(writer, "sqz.head.labels", t->labels, f->classes);
    sqzi_gguf_put_bool(writer, "sqz.head.labels_named", true);
    return status;
}

static void put_head(const sqzi_frozen *f, const tensors *t, sqzi_gguf_writer *writer)
{
    const uint64_t width = f->features->width, classes = f->classes;
    const uint64_t square[] = {width, width}, wide[] = {classes, width};
    sqzi_gguf_put_tensor(writer, "head.dense.weight", SQZI_F32, 2, square, t->dense);
    sqzi_gguf_put_tensor(writer, "head.dense.bias", SQZI_F32, 1, &width, t->dense_bias);
    sqzi_gguf_put_tensor(writer, "head.norm.weight", SQZI_F32, 1, &width, t->norm);
    sqzi_gguf_put_tensor(writer, "head.norm.bias", SQZI_F32, 1, &width, t->norm_bias);
    sqzi_gguf_put_tensor(writer, "head.output.weight", SQZI_F32, 2, wide, t->output);
    sqzi_gguf_put_tensor(writer, "head.output.bias", SQZI_F32, 1, &classes, t->output_bias);
}

/* The inputs are made up; that levels may differ by more than f32's rounding, the base says. */
static sqz_status find_references(const sqzi_frozen *f, const sqz_model *base,
                                  sqzi_references *references, sqz_error *error)
{
    sqzi_references of_base = {0};
    sqz_model_info info = base->info;
    info.head = SQZ_HEAD_SEQUENCE;
    info.n_labels = f->classes;
    sqz_status status = sqzi_references_copy(&of_base, base, error);
    if (status == SQZ_OK)
        status = sqzi_references_invent(references, &f->context->allocator, &info, error);
    references->source_tolerance = of_base.source_tolerance * gain(f);
    sqzi_references_discard(&of_base);
    return status;
}

sqz_status sqzi_frozen_write(const sqzi_frozen *f, const sqzi_frozen_file *file, const char *out,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &f->context->allocator;
    sqzi_gguf_writer *writer = NULL;
    sqzi_references references = {0};
    tensors t = {0};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&t, f->features->width, f->classes, &arena);
    t.block = sqzi_allocate(allocator, arena.used);
    if (!t.block) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a head's numbers");
    t.bytes = arena.used;
    arena = sqzi_arena_over(t.block, t.bytes);
    lay_out(&t, f->features->width, f->classes, &arena);
    fill(f, file->labels, &t);
    TRY(sqzi_gguf_writer_open(allocator, &writer, error));
    TRY(put_metadata(f, file, &t, writer, error));
    sqzi_put_tensors_of(file->base, false, writer);
    put_head(f, &t, writer);
    TRY(find_references(f, file->base, &references, error));
    TRY(sqzi_rewrite_write(writer, &references, out, error));
fail:
    sqzi_references_discard(&references);
    sqzi_gguf_writer_close(writer);
    sqzi_release(allocator, t.block, t.bytes);
    return status;
}
