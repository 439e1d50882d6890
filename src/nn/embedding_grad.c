/* SPDX-License-Identifier: Apache-2.0 */
/* The embedding backward: its projection, its norm, the factor of its table; the rows of its
 * tables are table_grad.c's. */
#include "nn/embedding_grad.h"

#include "nn/table_grad.h"

void sqzi_embedding_back_layout(sqzi_embedding_back *back, const sqzi_embedding *embedding,
                                uint32_t max_tokens, sqzi_arena *arena)
{
    const size_t n = max_tokens, own = embedding->projected ? n * embedding->width : 0,
                 words = embedding->factorised ? n * embedding->word.width : 0;
    *back = (sqzi_embedding_back){0};
    if (embedding->projected) {
        sqzi_linear_back_layout(&embedding->projection, &back->projection, arena);
        sqzi_linear_panels_layout(&embedding->projection, n, NULL, NULL, &back->projection_panels,
                                  arena);
    }
    if (embedding->factorised) {
        sqzi_linear_back_layout(&embedding->factor, &back->factor, arena);
        sqzi_linear_panels_layout(&embedding->factor, n, NULL, NULL, &back->factor_panels, arena);
    }
    back->embedded = sqzi_arena_take(arena, own, sizeof(sqzi_real));
    back->d_embedded = sqzi_arena_take(arena, own, sizeof(sqzi_real));
    back->words = sqzi_arena_take(arena, words, sizeof(sqzi_real));
    back->d_words = sqzi_arena_take(arena, words, sizeof(sqzi_real));
    back->chains = sqzi_arena_take(arena, sqzi_norm_chains(n, embedding->width), sizeof(sqzi_real));
    back->order = sqzi_arena_take(arena, n, sizeof *back->order);
    back->begin = sqzi_arena_take(arena, n + 1, sizeof *back->begin);
    back->counts = sqzi_arena_take(arena, embedding->word.n_rows, sizeof *back->counts);
}

void sqzi_embedding_back_need(const sqzi_embedding_back *back, const sqzi_embedding *embedding,
                              sqzi_linear_scratch *need)
{
    if (embedding->projected)
        sqzi_linear_grad_need(&embedding->projection, &back->projection, SQZI_BACK_ROWS, need);
    if (embedding->factorised)
        sqzi_linear_grad_need(&embedding->factor, &back->factor, SQZI_BACK_ROWS, need);
}

static const sqzi_embedding *embedding_of(const sqzi_encoder_pass *pass)
{
    return &pass->encoder->embedding;
}

/* Rows of [N, E] through the dropout behind the norm, in place. */
static void drop(const sqzi_encoder_pass *pass, sqzi_real *x, size_t ld, sqzi_range rows)
{
    const sqzi_mask mask = sqzi_mask_of(pass->kernels, pass->dropout,
                                        pass->dropout ? pass->dropout->hidden : 0, 0,
                                        SQZI_SITE_OUTPUT);
    if (mask.share)
        sqzi_mask_batch(&mask, pass->batch->first,
                        &(sqzi_mask_rows){.row = rows.begin,
                                          .m = rows.end - rows.begin,
                                          .n = embedding_of(pass)->width,
                                          .x = x + rows.begin * ld,
                                          .ldx = ld,
                                          .out = x + rows.begin * ld,
                                          .ldo = ld});
}

void sqzi_embedding_dropped(const sqzi_run *run, const sqzi_encoder_pass *pass, sqzi_range rows)
{
    const sqzi_embedding *embedding = embedding_of(pass);
    const sqzi_rows x = sqzi_hidden_rows(run, 0),
                    own = {.first = run->workspace->embedded, .ld = embedding->width},
                    kept = {.first = run->keep ? run->keep->embedded_sum : NULL,
                            .ld = embedding->width};
    const sqzi_rows *embedded = embedding->projected ? &own : &x;
    if (!sqzi_embedding_run(embedding, run->encoder->kernels, run->batch, rows,
                            kept.first ? &kept : embedded, embedded, run->scratch))
        run->workspace->numeric_error = true;
    drop(pass, embedded->first, embedded->ld, rows);
    if (embedding->projected) sqzi_run_rows(run, &embedding->projection, embedded, &x, rows);
}

/* The gradient behind the norm, and then before it: [N, E]. */
static sqzi_real *d_sum(const sqzi_embedding_pass *p)
{
    return embedding_of(p->pass)->projected ? p->back->d_embedded : p->d_x;
}

static sqzi_linear_grad_args projection_args(const sqzi_embedding_pass *p)
{
    const sqzi_embedding *embedding = embedding_of(p->pass);
    return (sqzi_linear_grad_args){.linear = &embedding->projection,
                                   .back = &p->back->projection,
                                   .panels = &p->back->projection_panels,
                                   .kernels = p->pass->kernels,
                                   .m = p->pass->batch->n_tokens,
                                   .x = p->back->embedded,
                                   .ldx = embedding->width,
                                   .dy = p->d_x,
                                   .lddy = p->pass->encoder->width,
                                   .dx = p->back->d_embedded,
                                   .lddx = embedding->width,
                                   .gradient = &p->pass->grads->embedding.projection,
                                   .beta = true};
}

static sqzi_linear_grad_args factor_args(const sqzi_embedding_pass *p)
{
    const sqzi_embedding *embedding = embedding_of(p->pass);
    return (sqzi_linear_grad_args){.linear = &embedding->factor,
                                   .back = &p->back->factor,
                                   .panels = &p->back->factor_panels,
                                   .kernels = p->pass->kernels,
                                   .m = p->pass->batch->n_tokens,
                                   .x = p->back->words,
                                   .ldx = embedding->word.width,
                                   .dy = d_sum(p),
                                   .lddy = embedding->width,
                                   .dx = p->back->d_words,
                                   .lddx = embedding->word.width,
                                   .gradient = &p->pass->grads->embedding.factor,
                                   .beta = true};
}

static sqzi_norm_grad_args norm_args(const sqzi_embedding_pass *p)
{
    const sqzi_norm_numbers *gradient = &p->pass->grads->embedding.norm;
    const size_t width = embedding_of(p->pass)->width;
    return (sqzi_norm_grad_args){.norm = &embedding_of(p->pass)->norm,
                                 .kernels = p->pass->kernels,
                                 .m = p->pass->batch->n_tokens,
                                 .x = p->pass->tape->keep.embedded_sum,
                                 .ldx = width,
                                 .dy = d_sum(p),
                                 .lddy = width,
                                 .dx = d_sum(p),
                                 .lddx = width,
                                 .chains = gradient->weight || gradient->bias ? p->back->chains
                                                                              : NULL};
}

/* What the projection read, made again. */
static void project_back(const sqzi_embedding_pass *p, sqzi_range rows)
{
    const sqzi_norm *norm = &embedding_of(p->pass)->norm;
    const sqzi_linear_grad_args args = projection_args(p);
    const size_t at = rows.begin * norm->n;
    p->pass->encoder->kernels->layer_norm(
        &(sqzk_layer_norm_args){.m = rows.end - rows.begin,
                                .n = norm->n,
                                .x = p->pass->tape->keep.embedded_sum + at,
                                .ldx = norm->n,
                                .weight = norm->weight,
                                .bias = norm->bias,
                                .epsilon = norm->epsilon,
                                .out = p->back->embedded + at,
                                .ldo = norm->n});
    drop(p->pass, p->back->embedded, norm->n, rows);
    sqzi_linear_grad_rows(&args, rows, &p->scratch->linear.rows);
}

void sqzi_embedding_grad_rows(const sqzi_embedding_pass *p, sqzi_range rows)
{
    const sqzi_embedding *embedding = embedding_of(p->pass);
    const sqzi_norm_grad_args norm = norm_args(p);
    if (embedding->projected) project_back(p, rows);
    drop(p->pass, d_sum(p), embedding->width, rows);
    if (!embedding->bare) sqzi_norm_grad_rows(&norm, rows);
    if (!embedding->factorised) return;
    for (size_t i = rows.begin; i < rows.end; i++)
        sqzi_table_row(&embedding->word, p->pass->encoder->kernels, p->pass->batch->ids[i], 0,
                       p->back->words + i * embedding->word.width);
    const sqzi_linear_grad_args factor = factor_args(p);
    sqzi_linear_grad_rows(&factor, rows, &p->scratch->linear.rows);
}

/* The linears that the embedding has: 0, 1 or both. */
static uint32_t linears(const sqzi_embedding_pass *p, sqzi_linear_grad_args args[2])
{
    uint32_t n = 0;
    if (embedding_of(p->pass)->projected) args[n++] = projection_args(p);
    if (embedding_of(p->pass)->factorised) args[n++] = factor_args(p);
    return n;
}

uint32_t sqzi_embedding_panel_units(const sqzi_embedding_pass *p)
{
    sqzi_linear_grad_args args[2];
    uint32_t units = 0;
    for (uint32_t i = linears(p, args); i-- > 0;) units += sqzi_linear_panel_units(&args[i]);
    return units;
}

void sqzi_embedding_grad_panels(const sqzi_embedding_pass *p, uint32_t unit)
{
    sqzi_linear_grad_args args[2];
    for (uint32_t i = linears(p, args), n; i-- > 0; unit -= n) {
        n = sqzi_linear_panel_units(&args[i]);
        if (unit >= n) continue;
        sqzi_linear_grad_panels(&args[i], unit, &p->scratch->linear);
        return;
    }
}

static sqzi_table_grad_args tables_of(const sqzi_embedding_pass *p)
{
    const sqzi_embedding *embedding = embedding_of(p->pass);
    return (sqzi_table_grad_args){.embedding = embedding,
                                  .batch = p->pass->batch,
                                  .order = p->back->order,
                                  .begin = p->back->begin,
                                  .n_distinct = p->back->n_distinct,
                                  .padding = p->pass->padding,
                                  .d_sum = d_sum(p),
                                  .d_words = embedding->factorised ? p->back->d_words : d_sum(p),
                                  .gradient = &p->pass->grads->embedding};
}

void sqzi_embedding_sort(const sqzi_embedding_pass *p)
{
    p->back->n_distinct = sqzi_sort_ids(p->pass->batch, p->back->counts, p->back->order,
                                        p->back->begin);
    if (p->pass->grads->embedding.word_rows)
        sqzi_row_list_add(p->pass->grads->embedding.word_rows, p->pass->batch, p->pass->padding);
}

/* The norm, the linears, the tables. */
uint32_t sqzi_embedding_weight_units(const sqzi_embedding_pass *p)
{
    const sqzi_table_grad_args tables = tables_of(p);
    sqzi_linear_grad_args args[2];
    uint32_t units = 1;
    for (uint32_t i = linears(p, args); i-- > 0;) units += sqzi_linear_weight_units(&args[i]);
    return units + sqzi_table_grad_units(&tables);
}

void sqzi_embedding_grad_weights(const sqzi_embedding_pass *p, uint32_t unit)
{
    const sqzi_norm_grad_args norm = norm_args(p);
    sqzi_linear_grad_args args[2];
    if (unit-- == 0) {
        if (norm.chains)
            sqzi_norm_grad_weights(&norm, &p->pass->grads->embedding.norm, true,
                                   (sqzi_range){0, norm.norm->n});
        return;
    }
    for (uint32_t i = linears(p, args), n; i-- > 0; unit -= n) {
        n = sqzi_linear_weight_units(&args[i]);
        if (unit >= n) continue;
        sqzi_linear_grad_weights(&args[i], unit, &p->scratch->linear);
        return;
    }
    const sqzi_table_grad_args tables = tables_of(p);
    sqzi_table_grad(&tables, unit);
}

uint32_t sqzi_embedding_pack_units(const sqzi_embedding_pass *p)
{
    const sqzi_embedding *embedding = embedding_of(p->pass);
    return (embedding->projected ? sqzi_linear_back_units(&p->back->projection) : 0) +
           (embedding->factorised ? sqzi_linear_back_units(&p->back->factor) : 0);
}

void sqzi_embedding_pack(const sqzi_embedding_pass *p, uint32_t unit)
{
    const sqzi_embedding_numbers *masters = &p->pass->masters->embedding;
    const uint32_t n = embedding_of(p->pass)->projected
                           ? sqzi_linear_back_units(&p->back->projection)
                           : 0;
    if (unit < n) sqzi_linear_back_pack(&p->back->projection, &masters->projection, unit);
    else sqzi_linear_back_pack(&p->back->factor, &masters->factor, unit - n);
}
