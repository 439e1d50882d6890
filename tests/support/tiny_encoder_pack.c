/* SPDX-License-Identifier: Apache-2.0 */
/* The matrices of a tiny encoder from its masters. */
#include "nn/pack.h"
#include "support/test.h"
#include "support/tiny_encoder.h"

static void pack_matrix(sqzi_matrix *matrix, const sqzi_real *masters)
{
    void *packed;
    memcpy(&packed, &matrix->packed, sizeof packed); /* what take() gave */
    sqzi_pack(matrix, (sqzi_numbers){masters, SQZI_F32, NULL}, NULL, packed);
}

static void pack_linear(sqzi_linear *linear, const sqzi_linear_numbers *masters)
{
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        if (masters->terms[t].a) pack_matrix(&linear->terms[t].a, masters->terms[t].a);
        pack_matrix(&linear->terms[t].b, masters->terms[t].b);
    }
}

void sqzt_encoder_pack(sqzt_encoder *e)
{
    sqzi_embedding *embedding = &e->encoder.embedding;
    const sqzi_embedding_numbers *m = &e->masters.embedding;
    sqzi_head *head = &e->head;
    if (embedding->factorised) pack_linear(&embedding->factor, &m->factor);
    if (embedding->projected) pack_linear(&embedding->projection, &m->projection);
    for (uint32_t i = 0; i < e->encoder.n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            pack_linear(sqzi_block_linear(&e->encoder.blocks[i], j),
                        &e->masters.blocks[i].linears[j]);
    if (head->has_pooler) pack_linear(&head->pooler, &e->head_masters.pooler);
    if (head->has_dense) pack_linear(&head->dense, &e->head_masters.dense);
    for (uint32_t i = 0; i < head->n_steps; i++)
        if (head->steps[i].kind == SQZI_STEP_DENSE)
            pack_linear(&head->steps[i].dense, &e->head_masters.steps[i]);
    if (head->factorised) pack_matrix(&head->factor.terms[0].b, m->factor.terms[0].b);
    if (head->tied) pack_matrix(&head->output.terms[0].b, m->word);
    else if (head->classes) pack_linear(&head->output, &e->head_masters.output);
}
