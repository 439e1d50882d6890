/* SPDX-License-Identifier: Apache-2.0 */
/* Terms of a batch, their memory, and what they add up to. */
#include "train/distil_terms.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t needs;
    sqzi_distil_form form;
} losses[SQZ_DISTIL_LOSSES] = {
    [SQZ_DISTIL_LABELS] = {"labels", 0, SQZI_DISTIL_SQUARES}, /* train/loss.h has it */
    [SQZ_DISTIL_LOGITS] = {"logits", SQZI_NEEDS_LOGITS, SQZI_DISTIL_KL},
    [SQZ_DISTIL_SOFT] = {"soft", SQZI_NEEDS_LOGITS, SQZI_DISTIL_SOFT},
    [SQZ_DISTIL_LOGITS_MSE] = {"logits_mse", SQZI_NEEDS_LOGITS, SQZI_DISTIL_SQUARES},
    [SQZ_DISTIL_HIDDEN] = {"hidden", SQZI_NEEDS_HIDDEN, SQZI_DISTIL_SQUARES},
    [SQZ_DISTIL_ATTENTION] = {"attention", SQZI_NEEDS_SCORES, SQZI_DISTIL_SQUARES},
    [SQZ_DISTIL_QUERIES] = {"queries", SQZI_NEEDS_QUERIES, SQZI_DISTIL_RELATIONS},
    [SQZ_DISTIL_KEYS] = {"keys", SQZI_NEEDS_KEYS, SQZI_DISTIL_RELATIONS},
    [SQZ_DISTIL_VALUES] = {"values", SQZI_NEEDS_VALUES, SQZI_DISTIL_RELATIONS},
    [SQZ_DISTIL_POOLED] = {"pooled", SQZI_NEEDS_EMBEDDINGS, SQZI_DISTIL_COSINE},
    [SQZ_DISTIL_POOLED_MSE] = {"pooled_mse", SQZI_NEEDS_EMBEDDINGS, SQZI_DISTIL_SQUARES},
    [SQZ_DISTIL_SIMILARITIES] = {"similarities", SQZI_NEEDS_EMBEDDINGS, SQZI_DISTIL_SIMILARITIES}};

const char *sqz_distil_loss_name(sqz_distil_loss loss)
{
    return (unsigned)loss < SQZ_DISTIL_LOSSES ? losses[loss].name : NULL;
}

uint32_t sqzi_distil_needs_of(const double weights[SQZ_DISTIL_LOSSES])
{
    uint32_t needs = 0;
    for (uint32_t i = 0; i < SQZ_DISTIL_LOSSES; i++)
        if (weights[i] > 0) needs |= losses[i].needs;
    return needs;
}

static size_t heads_width(const sqzi_encoder *encoder, uint32_t block)
{
    return (size_t)encoder->blocks[block].heads * encoder->blocks[block].head_width;
}

/* ---- terms ---- */

/* A batch as terms are made for it. */
typedef struct making {
    sqzi_distil *distil;
    const sqzi_batch *batch;
    const sqzi_outputs *student, *teacher;
    const sqzi_output_grads *grads;
    const sqzi_distil_counts *counts;
    double squares; /* of the lengths of this part */
    size_t units, scratch;
} making;

static void put(making *m, sqz_distil_loss loss, sqzi_distil_term term, double divisor)
{
    sqzi_distil *d = m->distil;
    const uint32_t i = d->terms.n++;
    term.form = losses[loss].form;
    term.scale = d->plan.weights[loss] / divisor;
    term.temperature = d->plan.temperature;
    if (!term.teacher_width) term.teacher_width = term.width;
    m->units += sqzi_distil_units(&term);
    if (sqzi_distil_scratch(&term) > m->scratch) m->scratch = sqzi_distil_scratch(&term);
    if (!d->list) return;
    d->losses[i] = loss;
    d->list[i] = term;
}

static bool wanted(const making *m, sqz_distil_loss loss)
{
    return m->distil->plan.weights[loss] > 0;
}

static void put_logits(making *m)
{
    const sqzi_distil_plan *plan = &m->distil->plan;
    const sqzi_distil_term term = {.student = m->student->logits,
                                   .teacher = m->teacher->logits,
                                   .d = m->grads->logits,
                                   .n = plan->tokens ? m->batch->n_tokens : m->batch->n_sequences,
                                   .width = plan->classes};
    const double items = plan->tokens ? m->counts->tokens : m->counts->sequences;
    if (wanted(m, SQZ_DISTIL_LOGITS)) put(m, SQZ_DISTIL_LOGITS, term, items);
    if (wanted(m, SQZ_DISTIL_SOFT)) put(m, SQZ_DISTIL_SOFT, term, items);
    if (wanted(m, SQZ_DISTIL_LOGITS_MSE))
        put(m, SQZ_DISTIL_LOGITS_MSE, term, items * plan->classes);
}

/* Vectors of the student as they are, or projected to the teacher's width. */
static void put_embeddings(making *m)
{
    sqzi_distil *d = m->distil;
    const bool projected = d->plan.of_embeddings.n_out > 0;
    const uint32_t width = d->plan.teacher_dimensions;
    const sqzi_distil_term term = {.student = projected ? d->of_embeddings.y
                                                        : m->student->embeddings,
                                   .teacher = m->teacher->embeddings,
                                   .d = projected ? d->of_embeddings.d : m->grads->embeddings,
                                   .n = m->batch->n_sequences,
                                   .width = width};
    const double n = m->counts->sequences;
    if (wanted(m, SQZ_DISTIL_POOLED)) put(m, SQZ_DISTIL_POOLED, term, n);
    if (wanted(m, SQZ_DISTIL_POOLED_MSE)) put(m, SQZ_DISTIL_POOLED_MSE, term, n * width);
}

/* Cosines of either side's own vectors: their widths may differ. */
static void put_similarities(making *m)
{
    const sqzi_distil_plan *plan = &m->distil->plan;
    const double n = m->counts->sequences;
    if (!wanted(m, SQZ_DISTIL_SIMILARITIES)) return;
    put(m, SQZ_DISTIL_SIMILARITIES,
        (sqzi_distil_term){.student = m->student->embeddings,
                           .teacher = m->teacher->embeddings,
                           .d = m->grads->embeddings,
                           .n = m->batch->n_sequences,
                           .width = plan->dimensions,
                           .teacher_width = plan->teacher_dimensions},
        n * n);
}

/* Nothing while memory is counted. */
static const sqzi_block_keep *kept(const sqzi_outputs *outputs, uint32_t i)
{
    static const sqzi_block_keep nothing;
    return outputs->blocks ? &outputs->blocks[i] : &nothing;
}

static const sqzi_block_keep_grad *d_of(const making *m, uint32_t i)
{
    static const sqzi_block_keep_grad nothing;
    return m->distil->grads ? &m->distil->grads[i] : &nothing;
}

/* Rows of ours, which the backward is only to read. */
static sqzi_real *ours(const sqzi_real *rows)
{
    return (sqzi_real *)(uintptr_t)rows;
}

static const sqzi_real *hidden_of(const sqzi_outputs *outputs, const sqzi_encoder *encoder,
                                  uint32_t i)
{
    return i == encoder->n_blocks ? outputs->hidden : kept(outputs, i)->x;
}

static sqzi_real *d_of_hidden(const making *m, uint32_t i)
{
    return i == m->distil->plan.student->n_blocks ? m->grads->hidden : ours(d_of(m, i)->x);
}

static void put_hidden(making *m, uint32_t i)
{
    const sqzi_distil *d = m->distil;
    const sqzi_distil_plan *plan = &d->plan;
    const bool projected = plan->of_hidden.n_out > 0;
    const uint32_t width = plan->teacher->width;
    put(m, SQZ_DISTIL_HIDDEN,
        (sqzi_distil_term){.student = projected ? d->of_hidden.y
                                                : hidden_of(m->student, plan->student, i),
                           .teacher = hidden_of(m->teacher, plan->teacher, plan->map[i]),
                           .d = projected ? d->of_hidden.d : d_of_hidden(m, i),
                           .n = m->batch->n_tokens,
                           .width = width},
        m->counts->tokens * width);
}

static void put_all_hidden(making *m)
{
    for (uint32_t i = 0; wanted(m, SQZ_DISTIL_HIDDEN) && i <= m->distil->plan.student->n_blocks;
         i++)
        put_hidden(m, i);
}

static void put_attention(making *m)
{
    const sqzi_distil_plan *plan = &m->distil->plan;
    const uint32_t n = plan->student->n_blocks;
    if (!wanted(m, SQZ_DISTIL_ATTENTION)) return;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t heads = plan->student->blocks[i].heads;
        put(m, SQZ_DISTIL_ATTENTION,
            (sqzi_distil_term){.student = kept(m->student, i)->scores,
                               .teacher = kept(m->teacher, plan->map[i + 1] - 1)->scores,
                               .d = ours(d_of(m, i)->scores),
                               .n = (size_t)m->squares,
                               .width = heads},
            m->counts->squares * heads * n);
    }
}

static void put_relation(making *m, sqz_distil_loss loss, const sqzi_real *student,
                         const sqzi_real *teacher, const sqzi_real *d)
{
    const sqzi_distil_plan *plan = &m->distil->plan;
    if (!wanted(m, loss)) return;
    put(m, loss,
        (sqzi_distil_term){.student = student,
                           .teacher = teacher,
                           .d = ours(d),
                           .n = m->batch->n_tokens,
                           .width = heads_width(plan->student, plan->student->n_blocks - 1),
                           .teacher_width = heads_width(plan->teacher, plan->relation_block),
                           .heads = plan->relation_heads,
                           .n_sequences = m->batch->n_sequences,
                           .longest = m->batch->longest,
                           .first = m->batch->first},
        m->counts->tokens * plan->relation_heads);
}

static void put_relations(making *m)
{
    const sqzi_distil_plan *plan = &m->distil->plan;
    if (!(m->distil->needs & (SQZI_NEEDS_QUERIES | SQZI_NEEDS_KEYS | SQZI_NEEDS_VALUES))) return;
    const uint32_t last = plan->student->n_blocks - 1;
    const sqzi_block_keep *s = kept(m->student, last), *t = kept(m->teacher, plan->relation_block);
    const sqzi_block_keep_grad *d = d_of(m, last);
    put_relation(m, SQZ_DISTIL_QUERIES, s->q, t->q, d->q);
    put_relation(m, SQZ_DISTIL_KEYS, s->k, t->k, d->k);
    put_relation(m, SQZ_DISTIL_VALUES, s->v, t->v, d->v);
}

/* All but those behind a projection, unless memory is counted. */
static void put_all(making *m, bool projected)
{
    const sqzi_distil_plan *plan = &m->distil->plan;
    m->distil->terms.n = 0;
    put_logits(m);
    put_similarities(m);
    if (projected || !plan->of_embeddings.n_out) put_embeddings(m);
    if (projected || !plan->of_hidden.n_out) put_all_hidden(m);
    put_attention(m);
    put_relations(m);
}

/* ---- memory ---- */

/* Terms, units and scratch of the largest batch: none grows where a batch is smaller. */
static void lay_out_terms(sqzi_distil *d, const sqzi_distil_sizes *sizes, sqzi_arena *arena)
{
    const sqzi_batch batch = {.n_sequences = sizes->max_sequences,
                              .n_tokens = sizes->max_tokens,
                              .longest = sizes->max_length};
    const sqzi_outputs nothing = {0};
    const sqzi_output_grads no_grads = {0};
    const sqzi_distil_counts ones = {1, 1, 1};
    making m = {.distil = d,
                .batch = &batch,
                .student = &nothing,
                .teacher = &nothing,
                .grads = &no_grads,
                .counts = &ones,
                .squares = (double)sizes->max_tokens * sizes->max_length};
    put_all(&m, true);
    d->n_scratch = m.scratch;
    d->scratch = sqzi_arena_take(arena, sizes->members * m.scratch, sizeof *d->scratch);
    d->terms.sums = sqzi_arena_take(arena, m.units, sizeof *d->terms.sums);
    d->losses = sqzi_arena_take(arena, d->terms.n, sizeof *d->losses);
    d->list = sqzi_arena_take(arena, d->terms.n, sizeof *d->list);
    d->terms.list = d->list;
}

static void lay_out_projections(sqzi_distil *d, const sqzi_distil_sizes *sizes, sqzi_arena *arena)
{
    const sqzi_distil_plan *plan = &d->plan;
    sqzi_projection_sizes own = {plan->student->kernels, plan->kernels, sizes->max_tokens,
                                 sizes->members};
    sqzi_projection_layout(&d->of_hidden, &plan->of_hidden, &own, arena);
    own.rows = sizes->max_sequences;
    sqzi_projection_layout(&d->of_embeddings, &plan->of_embeddings, &own, arena);
}

void sqzi_distil_layout(sqzi_distil *d, const sqzi_distil_plan *plan,
                        const sqzi_distil_sizes *sizes, sqzi_arena *arena)
{
    const uint32_t n = plan->student->n_blocks;
    *d = (sqzi_distil){.plan = *plan,
                       .needs = sqzi_distil_needs_of(plan->weights),
                       .members = sizes->members};
    lay_out_terms(d, sizes, arena);
    lay_out_projections(d, sizes, arena);
    d->grads = sqzi_arena_take(arena, n, sizeof *d->grads);
    sqzi_distil_keep_grads(plan, sizes, d->grads, arena);
}

/* ---- a batch ---- */

static void clear(const sqzi_real *rows, size_t n, size_t width)
{
    if (rows) memset(ours(rows), 0, n * width * sizeof *rows);
}

/* d of kept rows: 0, and where the backward finds it. */
static void begin_grads(const making *m)
{
    const sqzi_encoder *student = m->distil->plan.student;
    const size_t n = m->batch->n_tokens;
    for (uint32_t i = 0; i < student->n_blocks; i++) {
        const sqzi_block_keep_grad *d = &m->distil->grads[i];
        clear(d->x, n, student->width);
        clear(d->scores, (size_t)m->squares, student->blocks[i].heads);
        clear(d->q, n, heads_width(student, i));
        clear(d->k, n, heads_width(student, i));
        clear(d->v, n, heads_width(student, i));
        m->grads->blocks[i] = *d;
    }
}

static void run_terms(void *argument, const sqzi_team *team)
{
    const sqzi_distil *d = argument;
    sqzi_turn turn = {.team = team};
    sqzi_distil_run(&d->terms, d->scratch + team->member * d->n_scratch, &turn);
}

double sqzi_distil_squares(const sqzi_batch *batch)
{
    double squares = 0;
    for (uint32_t b = 0; b < batch->n_sequences; b++) {
        const double n = batch->first[b + 1] - batch->first[b];
        squares += n * n;
    }
    return squares;
}

/* The terms that were put, and what they come to. */
static void run_put(const making *m, sqzi_thread_pool *pool, double values[SQZ_DISTIL_LOSSES])
{
    sqzi_distil *d = m->distil;
    sqzi_thread_pool_run(pool, d->members, run_terms, d);
    for (uint32_t i = 0; i < d->terms.n; i++)
        values[d->losses[i]] += sqzi_distil_value(&d->terms, i);
}

/* What is compared behind a projection, one after the other: its rows have memory once. */
static void run_projected(making *m, sqzi_thread_pool *pool, double values[SQZ_DISTIL_LOSSES])
{
    sqzi_distil *d = m->distil;
    const sqzi_distil_plan *plan = &d->plan;
    const uint32_t layers = plan->of_hidden.n_out ? plan->student->n_blocks + 1 : 0;
    for (uint32_t i = 0; i < layers; i++) {
        sqzi_projection_forward(&d->of_hidden, hidden_of(m->student, plan->student, i),
                                m->batch->n_tokens, i == 0, pool);
        d->terms.n = 0;
        put_hidden(m, i);
        run_put(m, pool, values);
        sqzi_projection_backward(&d->of_hidden, d_of_hidden(m, i), pool);
    }
    if (!plan->of_embeddings.n_out) return;
    sqzi_projection_forward(&d->of_embeddings, m->student->embeddings, m->batch->n_sequences, true,
                            pool);
    d->terms.n = 0;
    put_embeddings(m);
    run_put(m, pool, values);
    sqzi_projection_backward(&d->of_embeddings, m->grads->embeddings, pool);
}

void sqzi_distil_add(sqzi_distil *d, const sqzi_batch *batch, const sqzi_outputs *student,
                     const sqzi_outputs *teacher, const sqzi_output_grads *grads,
                     const sqzi_distil_counts *counts, sqzi_thread_pool *pool,
                     double values[SQZ_DISTIL_LOSSES])
{
    making m = {.distil = d,
                .batch = batch,
                .student = student,
                .teacher = teacher,
                .grads = grads,
                .counts = counts,
                .squares = sqzi_distil_squares(batch)};
    begin_grads(&m);
    put_all(&m, false);
    run_put(&m, pool, values);
    run_projected(&m, pool, values);
}
