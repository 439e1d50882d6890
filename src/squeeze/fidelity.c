/* SPDX-License-Identifier: Apache-2.0 */
/* Two models' vectors of the same texts, compared. */
#include "squeeze/fidelity.h"

#include <math.h>
#include <squeezebert/squeeze.h>
#include <squeezebert/task.h>

#include "base/error.h"

enum { SLICE = 256, LANES = 16, NEIGHBOURS = SQZI_FIDELITY_NEIGHBOURS };

/* ---- vectors ---- */

/* Results of a slice of texts. */
typedef struct slice {
    sqz_input inputs[SLICE];
    union {
        sqz_embedding embeddings[SLICE];
        sqz_classification classes[SLICE];
    } results;
} slice;

static bool has_classes(const sqz_model *model)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    return info->head == SQZ_HEAD_SEQUENCE && info->n_labels > 1 && info->problem != SQZ_REGRESSION;
}

static sqz_status check_outcome(const sqz_outcome *outcome, size_t text, sqz_error *error)
{
    if (outcome->status == SQZ_OK) return SQZ_OK;
    return sqzi_fail(error, outcome->status, text, "text %zu that is held out: %s", text,
                     outcome->text);
}

static void put_unit(const float *from, uint32_t n, float *to)
{
    double squares = 0;
    for (uint32_t i = 0; i < n; i++) squares += (double)from[i] * (double)from[i];
    const double by = squares > 0 ? 1 / sqrt(squares) : 0;
    for (uint32_t i = 0; i < n; i++) to[i] = (float)((double)from[i] * by);
}

static sqz_status run_slice(sqz_task *task, slice *s, uint32_t n, size_t first,
                            sqzi_text_vectors *v, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqz_embed_texts(task, s->inputs, n, NULL, s->results.embeddings, error));
    for (uint32_t i = 0; i < n; i++) {
        TRY(check_outcome(&s->results.embeddings[i].outcome, first + i, error));
        put_unit(s->results.embeddings[i].vectors, v->dimensions,
                 v->vectors + (first + i) * v->dimensions);
    }
    if (!v->classes) goto fail;
    TRY(sqz_classify(task, s->inputs, n, 0, s->results.classes, error));
    for (uint32_t i = 0; i < n; i++) {
        TRY(check_outcome(&s->results.classes[i].outcome, first + i, error));
        v->classes[first + i] = s->results.classes[i].label;
    }
fail:
    return status;
}

sqz_status sqzi_text_vectors_make(const sqz_model *model, const sqz_text *texts, size_t n,
                                  sqzi_text_vectors *v, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = &model->context->allocator;
    sqz_task *task = NULL;
    slice *s = NULL;
    *v = (sqzi_text_vectors){.allocator = allocator,
                             .n = (uint32_t)n,
                             .dimensions = model->info.dimensions};
    s = sqzi_allocate_zeroed(allocator, 1, sizeof *s);
    v->vectors = sqzi_allocate_zeroed(allocator, n, v->dimensions * sizeof *v->vectors);
    if (has_classes(model)) v->classes = sqzi_allocate_zeroed(allocator, n, sizeof *v->classes);
    FAIL_IF(!s || !v->vectors || (has_classes(model) && !v->classes), SQZ_ENOMEM, 0,
            "no memory for vectors of %zu texts", n);
    TRY(sqz_task_open(model, NULL, &task, error));
    for (size_t i = 0; i < n; i += SLICE) {
        const uint32_t many = (uint32_t)(n - i < SLICE ? n - i : SLICE);
        for (uint32_t k = 0; k < many; k++) s->inputs[k] = (sqz_input){.text = texts[i + k]};
        TRY(run_slice(task, s, many, i, v, error));
    }
fail:
    sqz_task_close(task);
    sqzi_release(allocator, s, sizeof *s);
    return status;
}

void sqzi_text_vectors_discard(sqzi_text_vectors *v)
{
    if (v->allocator) {
        sqzi_release(v->allocator, v->vectors, (size_t)v->n * v->dimensions * sizeof *v->vectors);
        sqzi_release(v->allocator, v->classes, v->n * sizeof *v->classes);
    }
    *v = (sqzi_text_vectors){0};
}

/* ---- comparing ---- */

/* Of two unit vectors; the lanes' sums are added in one order on every machine. */
static float cosine_of(const float *a, const float *b, size_t n)
{
    float lanes[LANES] = {0};
    double sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) lanes[k] += a[i + k] * b[i + k];
    for (; i < n; i++) lanes[i % LANES] += a[i] * b[i];
    for (size_t k = 0; k < LANES; k++) sum += (double)lanes[k];
    return (float)sum;
}

/* The texts nearest to text i, nearest first; of equally near ones the earlier. */
static void nearest(const sqzi_text_vectors *v, size_t i, uint32_t *found)
{
    float cosines[NEIGHBOURS];
    uint32_t n = 0;
    const float *own = v->vectors + i * v->dimensions;
    for (uint32_t j = 0; j < v->n; j++) {
        if (j == i) continue;
        const float cosine = cosine_of(own, v->vectors + (size_t)j * v->dimensions, v->dimensions);
        uint32_t at = n < NEIGHBOURS ? n++ : NEIGHBOURS;
        for (; at > 0 && cosine > cosines[at - 1]; at--)
            if (at < NEIGHBOURS) {
                cosines[at] = cosines[at - 1];
                found[at] = found[at - 1];
            }
        if (at == NEIGHBOURS) continue;
        cosines[at] = cosine;
        found[at] = j;
    }
}

static double shared_neighbours(const sqzi_text_vectors *from, const sqzi_text_vectors *to,
                                size_t i)
{
    uint32_t a[NEIGHBOURS], b[NEIGHBOURS], shared = 0;
    nearest(from, i, a);
    nearest(to, i, b);
    for (int x = 0; x < NEIGHBOURS; x++)
        for (int y = 0; y < NEIGHBOURS; y++) shared += a[x] == b[y];
    return (double)shared / NEIGHBOURS;
}

static double cosine_at(const sqzi_text_vectors *from, const sqzi_text_vectors *to, size_t i)
{
    if (from->dimensions != to->dimensions) return (double)NAN;
    return (double)cosine_of(from->vectors + i * from->dimensions, to->vectors + i * to->dimensions,
                             from->dimensions);
}

/* The mean of n numbers, of which sum and sum of squares are known, and its standard error. */
static double mean_of(double sum, double squares, uint32_t n, double *error)
{
    const double mean = sum / n, spread = squares / n - mean * mean;
    *error = spread > 0 ? sqrt(spread / (n - 1)) : 0 * mean;
    return mean;
}

sqz_status sqzi_fidelity_of(const sqzi_text_vectors *from, const sqzi_text_vectors *to,
                            sqzi_fidelity *fidelity, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    double neighbours[2] = {0}, cosines[2] = {0}, classes = 0; /* sums, and those of squares */
    FAIL_IF(from->n != to->n, SQZ_EINVAL, 0, "%u vectors cannot be compared with %u", from->n,
            to->n);
    FAIL_IF(from->n <= NEIGHBOURS, SQZ_EINVAL, 0,
            "%u texts have no %d nearest neighbours each: give at least %d", from->n, NEIGHBOURS,
            NEIGHBOURS + 1);
    const bool both = from->classes && to->classes;
    for (size_t i = 0; i < from->n; i++) {
        const double shared = shared_neighbours(from, to, i), cosine = cosine_at(from, to, i);
        neighbours[0] += shared;
        neighbours[1] += shared * shared;
        cosines[0] += cosine;
        cosines[1] += cosine * cosine;
        if (both) classes += from->classes[i] == to->classes[i];
    }
    *fidelity = (sqzi_fidelity){.n_texts = from->n,
                                .classes = both ? classes / from->n : (double)NAN};
    fidelity->cosine = mean_of(cosines[0], cosines[1], from->n, &fidelity->cosine_error);
    fidelity->neighbours = mean_of(neighbours[0], neighbours[1], from->n,
                                   &fidelity->neighbours_error);
fail:
    return status;
}

sqz_status sqz_compare_models(const sqz_model *from, const sqz_model *to, const sqz_text *texts,
                              size_t n, sqz_likeness *likeness, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_text_vectors a = {0}, b = {0};
    sqzi_fidelity f;
    if (!from || !to || (!texts && n) || !likeness)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_compare_models: an argument is NULL");
    TRY(sqzi_text_vectors_make(from, texts, n, &a, error));
    TRY(sqzi_text_vectors_make(to, texts, n, &b, error));
    TRY(sqzi_fidelity_of(&a, &b, &f, error));
    *likeness = (sqz_likeness){f.n_texts, f.cosine,       f.neighbours,
                               f.classes, f.cosine_error, f.neighbours_error};
fail:
    sqzi_text_vectors_discard(&a);
    sqzi_text_vectors_discard(&b);
    return status;
}

/* ---- of a file that is being written ---- */

static sqz_status compare_file(void *user, const char *path, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_fidelity_run *run = user;
    sqz_model *model = NULL;
    sqzi_text_vectors now = {0};
    TRY(sqzi_text_vectors_make(run->model, run->texts, run->n_texts, &run->of, error));
    TRY(sqz_model_open(run->model->context, path, &model, error));
    TRY(sqzi_text_vectors_make(model, run->texts, run->n_texts, &now, error));
    TRY(sqzi_fidelity_of(&run->of, &now, &run->fidelity, error));
    run->values[0] = run->fidelity.cosine;
    run->values[1] = run->fidelity.neighbours;
    run->values[2] = run->fidelity.classes;
fail:
    sqzi_text_vectors_discard(&now);
    sqz_model_close(model);
    return status;
}

void sqzi_fidelity_run_make(const sqz_model *model, const sqz_text *texts, size_t n,
                            sqzi_fidelity_run *run)
{
    static const char *const keys[] = {"sqz.squeeze.fidelity.cosine",
                                       "sqz.squeeze.fidelity.neighbours",
                                       "sqz.squeeze.fidelity.classes"};
    *run = (sqzi_fidelity_run){.model = model, .texts = texts, .n_texts = n};
    run->measured = (sqzi_measured){.count_key = "sqz.squeeze.fidelity.texts",
                                    .count = (uint32_t)n,
                                    .keys = keys,
                                    .values = run->values,
                                    .n = has_classes(model) ? 3 : 2,
                                    .measure = compare_file,
                                    .user = run};
}

void sqzi_fidelity_run_discard(sqzi_fidelity_run *run)
{
    sqzi_text_vectors_discard(&run->of);
}
