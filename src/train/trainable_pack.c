/* SPDX-License-Identifier: Apache-2.0 */
/* A trained model's matrices, and where they are packed. */
#include "base/error.h"
#include "nn/pack.h"
#include "train/fake_quantise.h"
#include "train/trainable.h"

static sqzi_matrix *matrix_of(const sqzi_parameter *p)
{
    return (sqzi_matrix *)(uintptr_t)sqzi_parameter_matrix(p); /* of a model that is ours */
}

/* A matrix of a decoder that is tied to the table of words, packed once more from its master. */
typedef struct tied_matrix {
    sqzi_matrix *matrix;
    const sqzi_real *master;
    const sqzk_gemm *gemm; /* that of its type in the file that is written */
} tied_matrix;

enum { MOST_TIED = 2 };

/* Those of a head that the base has kept; a table of integers stays as it was packed. */
static uint32_t list_tied(const sqzi_trainable *t, const sqzk_gemm *gemm, tied_matrix *tied)
{
    sqzi_head *head = &t->model->head;
    const sqzi_embedding_numbers *masters = &t->parameters.masters.embedding;
    uint32_t n = 0;
    if (head->tied && masters->word)
        tied[n++] = (tied_matrix){&head->output.terms[0].b, masters->word,
                                  t->model->context->kernels.gemm_f32};
    if (head->tied && head->factorised && masters->factor.terms[0].b)
        tied[n++] = (tied_matrix){&head->factor.terms[0].b, masters->factor.terms[0].b, gemm};
    return n;
}

/* rounded: a parameter with bits, its rows are those of inference. */
static void repack(sqzi_matrix *matrix, const sqzk_gemm *gemm, bool rounded, sqzi_arena *arena)
{
    if (matrix->gemm == gemm && matrix->packed) return;
    sqzi_matrix ours = sqzi_matrix_of(gemm, matrix->n_in, matrix->n_out, matrix->groups);
    ours.packing = matrix->packing;
    ours.gather = matrix->gather;
    if (rounded) {
        ours.grad_gemm = matrix->grad_gemm;
        ours.unsigned_rows = matrix->unsigned_rows;
        ours.zero_point = matrix->zero_point;
    }
    ours.packed = sqzi_arena_take(arena, 1, sqzi_matrix_bytes(&ours));
    if (ours.packed) *matrix = ours;
}

/* Matrices of another gemm get memory of our own, and so do those that have none. */
static void repack_elsewhere(const sqzi_trainable *t, const sqzk_gemm *gemm, sqzi_arena *arena)
{
    tied_matrix tied[MOST_TIED];
    const uint32_t n_tied = list_tied(t, gemm, tied);
    for (uint32_t i = 0; i < t->parameters.n; i++) {
        const sqzi_parameter *p = &t->parameters.list[i];
        sqzi_matrix *matrix = matrix_of(p);
        if (p->bits) sqzi_rounded_layout(p, &t->rounded[i], arena);
        if (matrix)
            repack(matrix, p->bits ? t->model->context->kernels.gemm_s8 : gemm, p->bits > 0, arena);
    }
    for (uint32_t i = 0; i < n_tied; i++) repack(tied[i].matrix, tied[i].gemm, false, arena);
}

/* The block that the model was packed into holds what is still read: panels, of integers all, or
 * permutations. */
static bool reads_weights(const sqzi_trainable *t)
{
    const unsigned char *block = t->model->weights.base;
    const size_t bytes = t->model->weights.capacity;
    sqzi_linear_entry of;
    if (t->model->head.tied || t->model->encoder.embedding.factorised) return true;
    for (uint32_t i = 0; sqzi_linear_list(&t->model->encoder, &t->model->head, i, &of); i++) {
        if (of.linear->in || of.linear->out || of.linear->from) return true;
        for (uint32_t k = 0; k < of.linear->n_terms; k++) {
            const sqzi_term *term = &of.linear->terms[k];
            if ((uintptr_t)term->a.packed - (uintptr_t)block < bytes ||
                (uintptr_t)term->b.packed - (uintptr_t)block < bytes)
                return true;
        }
    }
    return false;
}

sqz_status sqzi_trainable_make_room(sqzi_trainable *t, bool bf16, sqz_error *error)
{
    const sqzk_table *kernels = &t->model->context->kernels;
    const sqzk_gemm *gemm = bf16 ? kernels->gemm_bf16 : kernels->gemm_f32;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_rounded_describe(t, gemm);
    repack_elsewhere(t, gemm, &arena);
    void *block = sqzi_allocate(&t->model->context->allocator, arena.used);
    if (!block)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %zu bytes of weights", arena.used);
    t->packed = arena = sqzi_arena_over(block, arena.used);
    repack_elsewhere(t, gemm, &arena);
    if (!reads_weights(t)) {
        sqzi_release(&t->model->context->allocator, t->model->weights.base,
                     t->model->weights.capacity);
        t->model->weights = (sqzi_arena){0};
    }
    return SQZ_OK;
}

typedef struct pack_job {
    const sqzi_trainable *trainable;
    bool all;
} pack_job;

static void pack_part(void *argument, const sqzi_team *team)
{
    const pack_job *job = argument;
    const sqzi_parameters *parameters = &job->trainable->parameters;
    tied_matrix tied[MOST_TIED];
    const uint32_t n_tied = list_tied(job->trainable, NULL, tied);
    sqzi_turn turn = {.team = team};
    uint32_t i;
    while (sqzi_take_part(&turn, n_tied + parameters->n, &i)) {
        if (i < n_tied) {
            sqzi_pack(tied[i].matrix, (sqzi_numbers){tied[i].master, SQZI_F32, NULL}, NULL,
                      (void *)(uintptr_t)tied[i].matrix->packed);
            continue;
        }
        const sqzi_parameter *p = &parameters->list[i - n_tied];
        const sqzi_matrix *matrix = sqzi_parameter_matrix(p);
        if (!matrix || !(p->trained || job->all)) continue;
        if (p->bits)
            sqzi_fake_quantise(p, job->trainable->model->context->kernels.features,
                               sqzi_rounded_bias(job->trainable, p->entry.linear),
                               &job->trainable->rounded[i - n_tied]);
        else
            sqzi_pack(matrix, (sqzi_numbers){p->master, SQZI_F32, NULL}, NULL,
                      (void *)(uintptr_t)matrix->packed);
    }
}

void sqzi_trainable_pack(const sqzi_trainable *t, bool all)
{
    sqzi_thread_pool *pool = t->model->context->pool;
    sqzi_thread_pool_run(pool, sqzi_thread_pool_size(pool), pack_part, &(pack_job){t, all});
}
