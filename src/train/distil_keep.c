/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of what losses against a teacher read of blocks. */
#include "train/distil_terms.h"

static size_t heads_width(const sqzi_encoder *encoder, uint32_t block)
{
    return (size_t)encoder->blocks[block].heads * encoder->blocks[block].head_width;
}

/* Rows of ours, which others are only to read. */
static sqzi_real *ours(const sqzi_real *rows)
{
    return (sqzi_real *)(uintptr_t)rows;
}

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

void sqzi_distil_keep_grads(const sqzi_distil_plan *plan, const sqzi_distil_sizes *sizes,
                            sqzi_block_keep_grad *grads, sqzi_arena *arena)
{
    for (uint32_t i = 0; i < plan->student->n_blocks; i++) {
        const sqzi_block_keep_grad own = keep_rows(plan->student, i, student_needs(plan, i), sizes,
                                                   arena);
        if (grads) grads[i] = own;
    }
}
