/* SPDX-License-Identifier: Apache-2.0 */
/* A distillation's recipe against its two models, and its step. */
#include "train/distilling.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"

/* ---- the recipe by itself ---- */

static sqz_status settle(const sqz_distil_recipe *recipe, sqz_distil_recipe *s, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    bool any = false;
    TRY(SQZI_RESERVED(recipe, "sqz_distil_recipe", error));
    *s = *recipe;
    s->layers = NULL;
    if (s->temperature == 0) s->temperature = 1;
    FAIL_IF(!s->teacher, SQZ_EINVAL, 0, "a distillation needs a teacher");
    FAIL_IF(s->cache_bytes && !s->cache, SQZ_EINVAL, 0,
            "%llu bytes of the teacher's outputs are to be kept, but no file is named for them",
            (unsigned long long)s->cache_bytes);
    for (uint32_t i = 0; i < SQZ_DISTIL_LOSSES; i++) {
        FAIL_IF(!(s->weights[i] >= 0) || !isfinite(s->weights[i]), SQZ_EINVAL, i,
                "the weight of the loss '%s' is %s, 0 or more is possible",
                sqz_distil_loss_name((sqz_distil_loss)i), SQZI_REAL(6, s->weights[i]));
        any = any || (i != SQZ_DISTIL_LABELS && s->weights[i] > 0);
    }
    FAIL_IF(!any, SQZ_EINVAL, 0, "no loss against the teacher has a weight");
    FAIL_IF(!(s->temperature > 0) || !(s->temperature <= 1000), SQZ_EINVAL, 0,
            "the temperature is %s, above 0 and at most 1000 is possible",
            SQZI_REAL(6, s->temperature));
    FAIL_IF((unsigned)s->map > SQZ_DISTIL_EXPLICIT, SQZ_EINVAL, 0, "no map of layers has number %d",
            (int)s->map);
    FAIL_IF((s->map == SQZ_DISTIL_EXPLICIT) != (recipe->layers != NULL), SQZ_EINVAL, 0,
            "layers go with an explicit map, and it with them");
fail:
    return status;
}

sqz_status sqzi_distilling_open(sqz_context *context, const sqz_distil_recipe *recipe,
                                sqzi_distilling *d, sqz_error *error)
{
    *d = (sqzi_distilling){.allocator = &context->allocator};
    const sqz_status status = settle(recipe, &d->recipe, error);
    return status == SQZ_OK ? sqzi_teacher_open(context, recipe, &d->teacher, error) : status;
}

void sqzi_distilling_close(sqzi_distilling *d)
{
    if (!d->allocator) return;
    sqzi_release(d->allocator, d->map, d->n_map * sizeof *d->map);
    sqzi_release(d->allocator, d->classes, d->n_classes * sizeof *d->classes);
    sqzi_teacher_cache_close(&d->cache);
    sqzi_teacher_close(&d->teacher);
    *d = (sqzi_distilling){0};
}

bool sqzi_distilling_has_labels(const sqzi_distilling *d)
{
    return d->recipe.weights[SQZ_DISTIL_LABELS] > 0;
}

bool sqzi_distilling_reads_blocks(const sqzi_distilling *d)
{
    return sqzi_distil_needs_of(d->recipe.weights) &
           ~(uint32_t)(SQZI_NEEDS_LOGITS | SQZI_NEEDS_EMBEDDINGS);
}

/* ---- beside the student ---- */

static sqz_status make_map(sqzi_distilling *d, uint32_t n, uint32_t most, const uint32_t *layers,
                           uint32_t n_layers, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const bool used = sqzi_distil_needs_of(d->recipe.weights) &
                      (SQZI_NEEDS_HIDDEN | SQZI_NEEDS_SCORES);
    d->n_map = n + 1;
    d->map = sqzi_allocate_zeroed(d->allocator, d->n_map, sizeof *d->map);
    FAIL_IF(!d->map, SQZ_ENOMEM, 0, "no memory for a map of %u layers", n);
    if (!used) return SQZ_OK;
    FAIL_IF(d->recipe.map == SQZ_DISTIL_EXPLICIT && n_layers != n, SQZ_EINVAL, 0,
            "the map has %u layers of the teacher, the student has %u to learn them", n_layers, n);
    FAIL_IF(d->recipe.map == SQZ_DISTIL_LAST && n > most, SQZ_EINVAL, 0,
            "the student has %u blocks, its teacher %u: the last of these are fewer", n, most);
    FAIL_IF(n && !most, SQZ_EINVAL, 0, "the teacher has no block that could be learned");
    for (uint32_t m = 1; m <= n; m++) {
        d->map[m] = d->recipe.map == SQZ_DISTIL_LAST       ? m + most - n
                    : d->recipe.map == SQZ_DISTIL_EXPLICIT ? layers[m - 1]
                                                           : (2 * m * most + n) / (2 * n);
        FAIL_IF(d->map[m] > most || !d->map[m], SQZ_EINVAL, m,
                "block %u of the student is to learn layer %u of the teacher, which has 1 to %u", m,
                d->map[m], most);
    }
fail:
    return status;
}

static uint32_t heads_width(const sqzi_block *block)
{
    return block->heads * block->head_width;
}

static sqz_status check_widths(const sqzi_distilling *d, const sqz_model *student, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model *teacher = d->teacher.model;
    const uint32_t needs = sqzi_distil_needs_of(d->recipe.weights);
    for (uint32_t i = 0; needs & SQZI_NEEDS_SCORES && i < student->encoder.n_blocks; i++) {
        const uint32_t own = student->encoder.blocks[i].heads,
                       of_teacher = teacher->encoder.blocks[d->map[i + 1] - 1].heads;
        FAIL_IF(own != of_teacher, SQZ_EINVAL, i,
                "attention of %u heads (block %u) cannot learn that of %u: learn relations "
                "(queries, keys, values), which cut heads anew",
                own, i, of_teacher);
    }
fail:
    return status;
}

static sqz_status fit_relations(sqzi_distilling *d, const sqz_model *student, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_distil_recipe *r = &d->recipe;
    const sqzi_encoder *s = &student->encoder, *t = &d->teacher.model->encoder;
    if (!(sqzi_distil_needs_of(r->weights) &
          (SQZI_NEEDS_QUERIES | SQZI_NEEDS_KEYS | SQZI_NEEDS_VALUES)))
        return SQZ_OK;
    FAIL_IF(!s->n_blocks || !t->n_blocks, SQZ_EINVAL, 0, "a model without blocks has no relations");
    if (!r->relation_layer) r->relation_layer = t->n_blocks;
    FAIL_IF(r->relation_layer > t->n_blocks, SQZ_EINVAL, 0,
            "relations of layer %u are to be learned, the teacher has %u", r->relation_layer,
            t->n_blocks);
    const sqzi_block *last = &s->blocks[s->n_blocks - 1], *from = &t->blocks[r->relation_layer - 1];
    if (!r->relation_heads) r->relation_heads = from->heads;
    FAIL_IF(heads_width(last) % r->relation_heads || heads_width(from) % r->relation_heads,
            SQZ_EINVAL, 0,
            "%u relation heads do not divide the %u numbers of the student's queries and the %u of "
            "its teacher's",
            r->relation_heads, heads_width(last), heads_width(from));
    d->plan.relation_heads = r->relation_heads;
    d->plan.relation_block = r->relation_layer - 1;
fail:
    return status;
}

sqz_status sqzi_distilling_fit(sqzi_distilling *d, const sqz_model *student,
                               const sqz_distil_recipe *recipe, const sqz_train_data *data,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model *teacher = d->teacher.model;
    d->apart = data->examples->teachers != NULL;
    d->plan.tokens = student->head.pooling <= SQZ_POOLING_NONE;
    TRY(make_map(d, student->encoder.n_blocks, teacher->encoder.n_blocks, recipe->layers,
                 recipe->n_layers, error));
    TRY(sqzi_distilling_match_pieces(d, student, error));
    TRY(sqzi_distilling_match_logits(d, student, error));
    TRY(check_widths(d, student, error));
    TRY(fit_relations(d, student, error));
    memcpy(d->plan.weights, d->recipe.weights, sizeof d->plan.weights);
    d->plan.student = &student->encoder;
    d->plan.teacher = &teacher->encoder;
    d->plan.temperature = d->recipe.temperature;
    d->plan.map = d->map;
    d->plan.classes = student->info.n_labels;
    d->plan.dimensions = student->info.dimensions;
    d->plan.teacher_dimensions = teacher->info.dimensions;
fail:
    if (status == SQZ_EINVAL && error) sqzi_error_prefix(error, d->recipe.teacher);
    return status;
}

void sqzi_distilling_limit(const sqzi_distilling *d, sqz_model_info *info)
{
    const sqz_model_info *t = &d->teacher.model->info;
    if (d->apart) return;
    if (t->max_positions < info->max_positions) info->max_positions = t->max_positions;
    if (t->n_token_types && (!info->n_token_types || t->n_token_types < info->n_token_types))
        info->n_token_types = t->n_token_types;
}

/* ---- projections ---- */

static const char *const projections[SQZI_MOST_BESIDE] = {"projection.hidden",
                                                          "projection.embeddings"};

void sqzi_distilling_beside(const sqzi_distilling *d, sqzi_beside beside[SQZI_MOST_BESIDE])
{
    const sqz_model_info *teacher = &d->teacher.model->info;
    const double *w = d->recipe.weights;
    const bool pooled = w[SQZ_DISTIL_POOLED] > 0 || w[SQZ_DISTIL_POOLED_MSE] > 0;
    beside[0] = (sqzi_beside){projections[0], w[SQZ_DISTIL_HIDDEN] > 0 ? teacher->width : 0, 0};
    beside[1] = (sqzi_beside){projections[1], pooled ? teacher->dimensions : 0, 0};
}

void sqzi_distilling_take(sqzi_distilling *d, const sqzi_parameters *parameters,
                          const struct sqzk_grad_table *kernels)
{
    sqzi_projection_numbers *const all[SQZI_MOST_BESIDE] = {&d->plan.of_hidden,
                                                            &d->plan.of_embeddings};
    d->plan.kernels = kernels;
    for (uint32_t k = 0; k < SQZI_MOST_BESIDE; k++) {
        const sqzi_parameter *p = sqzi_parameters_find(parameters, projections[k]);
        if (p)
            *all[k] = (sqzi_projection_numbers){p->entry.rows, p->entry.columns, p->master,
                                                p->gradient};
    }
}

/* ---- steps ---- */

void sqzi_distilling_layout(sqzi_distilling *d, sqzi_batch_gradient *student,
                            const sqzi_distil_sizes *sizes, const sqzi_distil_sizes *teacher,
                            sqzi_arena *arena)
{
    const size_t apart = d->apart ? teacher->max_tokens : 0;
    sqzi_distil_keep_student(&d->plan, sizes, &student->tape, arena);
    sqzi_teacher_layout(&d->teacher, &d->plan, d->apart ? teacher : sizes, arena);
    sqzi_distil_layout(&d->distil, &d->plan, sizes, arena);
    d->read.first = sqzi_arena_take(arena, d->apart ? (size_t)teacher->max_sequences + 1 : 0,
                                    sizeof *d->read.first);
    d->read.ids = sqzi_arena_take(arena, apart, sizeof *d->read.ids);
    d->read.types = sqzi_arena_take(arena, apart, 1);
    d->row = sqzi_arena_take(arena, d->classes ? d->n_classes : 0, sizeof *d->row);
}

sqz_status sqzi_distilling_begin(sqzi_distilling *d, const sqz_train_data *data,
                                 const sqz_train_run *run, sqz_error *error)
{
    const sqz_distil_recipe *r = &d->recipe;
    const sqzi_teacher_keep keep = {.teacher = &d->teacher,
                                    .plan = &d->plan,
                                    .data = data,
                                    .path = r->cache,
                                    .most = r->cache_bytes,
                                    .note = run->note,
                                    .user = run->user};
    if (!r->cache_bytes || sqzi_distilling_reads_blocks(d)) return SQZ_OK;
    sqzi_teacher_cache_close(&d->cache);
    return sqzi_teacher_cache_open(d->teacher.model->context, &keep, &d->cache, error);
}

/* The same examples in the teacher's own pieces. */
static sqzi_batch read_apart(const sqzi_distilling *d, const sqzi_taught *taught)
{
    const sqzi_read_apart *r = &d->read;
    sqzi_batch batch = {.n_sequences = taught->batch->n_sequences,
                        .first = r->first,
                        .ids = r->ids};
    r->first[0] = 0;
    for (uint32_t b = 0; b < batch.n_sequences; b++) {
        const sqz_train_example *e = taught->data->examples[taught->examples[b]].teachers;
        memcpy(r->ids + batch.n_tokens, e->ids, e->n_tokens * sizeof *e->ids);
        if (e->types) memcpy(r->types + batch.n_tokens, e->types, e->n_tokens);
        else memset(r->types + batch.n_tokens, 0, e->n_tokens);
        batch.n_tokens += e->n_tokens;
        if (e->n_tokens > batch.longest) batch.longest = e->n_tokens;
        r->first[b + 1] = batch.n_tokens;
    }
    return batch;
}

/* The teacher's logits in the student's order of classes. */
static void order_classes(const sqzi_distilling *d, const sqzi_batch *batch)
{
    const size_t n = d->n_classes, items = d->plan.tokens ? batch->n_tokens : batch->n_sequences;
    if (!d->classes) return;
    for (size_t i = 0; i < items; i++) {
        sqzi_real *logits = d->teacher.logits + i * n;
        memcpy(d->row, logits, n * sizeof *logits);
        for (size_t k = 0; k < n; k++) logits[k] = d->row[d->classes[k]];
    }
}

static sqz_status run_teacher(sqzi_distilling *d, const sqzi_taught *taught, const uint32_t *skip,
                              sqz_error *error)
{
    sqzi_batch same = d->apart ? read_apart(d, taught) : *taught->batch;
    const bool kept = d->cache.allocator;
    same.types = !d->teacher.model->info.n_token_types ? NULL
                 : d->apart                            ? d->read.types
                                                       : taught->types;
    if (!kept || !sqzi_teacher_cache_get(&d->cache, taught->examples, &same, &d->teacher)) {
        const sqz_status status = sqzi_teacher_run(&d->teacher, &same, d->apart ? NULL : skip,
                                                   error);
        if (status != SQZ_OK) return status;
        if (kept) sqzi_teacher_cache_put(&d->cache, taught->examples, &same, &d->teacher);
    }
    order_classes(d, &same);
    return SQZ_OK;
}

sqz_status sqzi_distilling_add(sqzi_distilling *d, sqzi_batch_gradient *student,
                               const sqzi_taught *taught, double values[SQZ_DISTIL_LOSSES],
                               sqz_error *error)
{
    const sqz_status status = run_teacher(d, taught, student->skip, error);
    if (status != SQZ_OK) return status;
    sqzi_distil_add(&d->distil, taught->batch, &student->outputs, &d->teacher.outputs,
                    &student->grads, taught->counts, student->model.pool, values);
    return SQZ_OK;
}

/* ---- text ---- */

sqz_status sqzi_distilling_text(const sqzi_distilling *d, sqzi_buffer *buffer, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char piece[160];
    const sqz_distil_recipe *r = &d->recipe;
    int n = snprintf(piece, sizeof piece, ",\"distil\":{\"teacher\":\"%s\",\"temperature\":%s",
                     d->teacher.sha256, SQZI_REAL(17, r->temperature));
    TRY(sqzi_buffer_append(buffer, piece, (size_t)n, error));
    if (d->teacher.rounded) {
        n = snprintf(piece, sizeof piece, ",\"teacher_type\":\"%s\"", d->teacher.rounded);
        TRY(sqzi_buffer_append(buffer, piece, (size_t)n, error));
    }
    for (uint32_t i = 0; i < SQZ_DISTIL_LOSSES; i++) {
        if (!(r->weights[i] > 0)) continue;
        n = snprintf(piece, sizeof piece, ",\"%s\":%s", sqz_distil_loss_name((sqz_distil_loss)i),
                     SQZI_REAL(17, r->weights[i]));
        TRY(sqzi_buffer_append(buffer, piece, (size_t)n, error));
    }
    n = snprintf(piece, sizeof piece, ",\"relation_heads\":%u,\"relation_layer\":%u,\"map\":[",
                 r->relation_heads, r->relation_layer);
    TRY(sqzi_buffer_append(buffer, piece, (size_t)n, error));
    for (uint32_t m = 0; m < d->n_map; m++) {
        n = snprintf(piece, sizeof piece, "%s%u", m ? "," : "", d->map[m]);
        TRY(sqzi_buffer_append(buffer, piece, (size_t)n, error));
    }
    TRY(sqzi_buffer_append(buffer, "]}", 2, error));
fail:
    return status;
}

void sqzi_distilling_history(const sqzi_distilling *d, char line[SQZI_DISTILLING_LINE])
{
    const sqz_distil_recipe *r = &d->recipe;
    int n = !d->teacher.rounded
                ? 0
                : snprintf(line, SQZI_DISTILLING_LINE, " --teacher-type %s", d->teacher.rounded);
    n += snprintf(line + n, SQZI_DISTILLING_LINE - (size_t)n, " --loss ");
    const int begin = n;
    for (uint32_t i = 0; i < SQZ_DISTIL_LOSSES; i++)
        if (r->weights[i] > 0)
            n += snprintf(line + n, SQZI_DISTILLING_LINE - (size_t)n, "%s%s:%s",
                          n > begin ? "," : "", sqz_distil_loss_name((sqz_distil_loss)i),
                          SQZI_REAL(6, r->weights[i]));
    if (sqzi_distilling_has_logits(d))
        snprintf(line + n, SQZI_DISTILLING_LINE - (size_t)n, " --temperature %s",
                 SQZI_REAL(6, r->temperature));
}
