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

static void put_embeddings(making *m)
{
    const sqzi_distil_term term = {.student = m->student->embeddings,
                                   .teacher = m->teacher->embeddings,
                                   .d = m->grads->embeddings,
                                   .n = m->batch->n_sequences,
                                   .width = m->distil->plan.dimensions};
    const double n = m->counts->sequences;
    if (wanted(m, SQZ_DISTIL_POOLED)) put(m, SQZ_DISTIL_POOLED, term, n);
    if (wanted(m, SQZ_DISTIL_POOLED_MSE))
        put(m, SQZ_DISTIL_POOLED_MSE, term, n * m->distil->plan.dimensions);
    if (wanted(m, SQZ_DISTIL_SIMILARITIES)) put(m, SQZ_DISTIL_SIMILARITIES, term, n * n);
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

static void put_hidden(making *m)
{
    const sqzi_distil_plan *plan = &m->distil->plan;
    const uint32_t width = plan->student->width, last = plan->student->n_blocks;
    if (!wanted(m, SQZ_DISTIL_HIDDEN)) return;
    for (uint32_t i = 0; i <= last; i++)
        put(m, SQZ_DISTIL_HIDDEN,
            (sqzi_distil_term){.student = hidden_of(m->student, plan->student, i),
                               .teacher = hidden_of(m->teacher, plan->teacher, plan->map[i]),
                               .d = i == last ? m->grads->hidden : ours(d_of(m, i)->x),
                               .n = m->batch->n_tokens,
                               .width = width},
            m->counts->tokens * width);
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

static void put_all(making *m)
{
    m->distil->terms.n = 0;
    put_logits(m);
    put_embeddings(m);
    put_hidden(m);
    put_attention(m);
    put_relations(m);
}

/* ---- memory ---- */

static const sqzi_real *rows(sqzi_arena *arena, bool there, size_t n, size_t width)
{
    const sqzi_real *taken = there ? sqzi_arena_take(arena, n * width, sizeof *taken) : NULL;
    return taken;
}

/* What is read of a block, with memory of its own. */
static sqzi_block_keep_grad keep_rows(const sqzi_encoder *encoder, uint32_t i, uint32_t needs,
                                      const sqzi_distil_sizes *sizes, sqzi_arena *arena)
{
    const size_t n = sizes->max_tokens, heads = heads_width(encoder, i);
    sqzi_block_keep_grad keep;
    keep.x = rows(arena, needs & SQZI_NEEDS_HIDDEN, n, encoder->width);
    keep.scores = rows(arena, needs & SQZI_NEEDS_SCORES, n * sizes->max_length,
                       encoder->blocks[i].heads);
    keep.q = rows(arena, needs & SQZI_NEEDS_QUERIES, n, heads);
    keep.k = rows(arena, needs & SQZI_NEEDS_KEYS, n, heads);
    keep.v = rows(arena, needs & SQZI_NEEDS_VALUES, n, heads);
    return keep;
}

static const uint32_t of_relations = SQZI_NEEDS_QUERIES | SQZI_NEEDS_KEYS | SQZI_NEEDS_VALUES;

static uint32_t student_needs(const sqzi_distil_plan *plan, uint32_t i)
{
    const uint32_t needs = sqzi_distil_needs_of(plan->weights);
    return i + 1 == plan->student->n_blocks ? needs : needs & ~of_relations;
}

static uint32_t teacher_needs(const sqzi_distil_plan *plan, uint32_t i)
{
    const uint32_t needs = sqzi_distil_needs_of(plan->weights);
    uint32_t here = i == plan->relation_block ? needs & of_relations : 0;
    for (uint32_t m = 0; m <= plan->student->n_blocks; m++) {
        if (plan->map[m] == i) here |= needs & SQZI_NEEDS_HIDDEN;
        if (m && plan->map[m] == i + 1) here |= needs & SQZI_NEEDS_SCORES;
    }
    return here;
}

static void set_kept(sqzi_block_keep *keep, const sqzi_block_keep_grad *own)
{
    const struct {
        sqzi_real **to;
        const sqzi_real *from;
    } all[] = {{&keep->x, own->x},
               {&keep->scores, own->scores},
               {&keep->q, own->q},
               {&keep->k, own->k},
               {&keep->v, own->v}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].from) *all[i].to = ours(all[i].from);
}

/* What a tape keeps of block i in any case. */
static uint32_t kept_by(const sqzi_encoder_tape *tape, uint32_t i)
{
    const uint32_t first = tape->first_trained ? tape->first_trained - 1 : 0;
    if (i < first) return 0;
    return (i == first || tape->recompute ? SQZI_NEEDS_HIDDEN : 0) |
           (tape->recompute ? 0 : of_relations);
}

void sqzi_distil_keep_student(const sqzi_distil_plan *plan, const sqzi_distil_sizes *sizes,
                              sqzi_encoder_tape *tape, sqzi_arena *arena)
{
    for (uint32_t i = 0; i < plan->student->n_blocks; i++) {
        const uint32_t needs = student_needs(plan, i) & ~kept_by(tape, i);
        const sqzi_block_keep_grad own = keep_rows(plan->student, i, needs, sizes, arena);
        if (tape->blocks) set_kept(&tape->blocks[i], &own);
    }
}

void sqzi_distil_keep_teacher(const sqzi_distil_plan *plan, const sqzi_distil_sizes *sizes,
                              sqzi_block_keep *blocks, sqzi_arena *arena)
{
    for (uint32_t i = 0; i < plan->teacher->n_blocks; i++) {
        const sqzi_block_keep_grad own = keep_rows(plan->teacher, i, teacher_needs(plan, i), sizes,
                                                   arena);
        if (blocks) set_kept(&blocks[i], &own);
    }
}

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
    put_all(&m);
    d->n_scratch = m.scratch;
    d->scratch = sqzi_arena_take(arena, sizes->members * m.scratch, sizeof *d->scratch);
    d->terms.sums = sqzi_arena_take(arena, m.units, sizeof *d->terms.sums);
    d->losses = sqzi_arena_take(arena, d->terms.n, sizeof *d->losses);
    d->list = sqzi_arena_take(arena, d->terms.n, sizeof *d->list);
    d->terms.list = d->list;
}

void sqzi_distil_layout(sqzi_distil *d, const sqzi_distil_plan *plan,
                        const sqzi_distil_sizes *sizes, sqzi_arena *arena)
{
    const uint32_t n = plan->student->n_blocks;
    *d = (sqzi_distil){.plan = *plan,
                       .needs = sqzi_distil_needs_of(plan->weights),
                       .members = sizes->members};
    lay_out_terms(d, sizes, arena);
    d->grads = sqzi_arena_take(arena, n, sizeof *d->grads);
    for (uint32_t i = 0; i < n; i++) {
        const sqzi_block_keep_grad own = keep_rows(plan->student, i, student_needs(plan, i), sizes,
                                                   arena);
        if (d->grads) d->grads[i] = own;
    }
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
    put_all(&m);
    sqzi_thread_pool_run(pool, d->members, run_terms, d);
    for (uint32_t i = 0; i < d->terms.n; i++)
        values[d->losses[i]] += sqzi_distil_value(&d->terms, i);
}
