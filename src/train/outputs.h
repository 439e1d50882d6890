/* SPDX-License-Identifier: Apache-2.0 */
/* What a model made of a batch, and d loss of it: what stands between a forward and its backward.
 */
#ifndef SQZI_OUTPUTS_H
#define SQZI_OUTPUTS_H

#include "nn/encoder_grad.h"

/* Rows without gaps; NULL: not there.
 *
 *   logits      [items, K], items being the sequences, or the tokens where the head reads each
 *   embeddings  [sequences, D], through the steps behind pooling, cut and normalised
 *   hidden      [N, C] of the last block
 *   blocks      [n_blocks] what the tape kept (sqzi_encoder_tape); with recompute x alone
 */
typedef struct sqzi_outputs {
    const sqzi_real *logits, *embeddings, *hidden;
    const sqzi_block_keep *blocks;
} sqzi_outputs;

/* Of the same forms, 0 behind the forward: losses add. Of blocks all is NULL behind it: who has d
 * of a kept item makes room for it and says here where it lies. */
typedef struct sqzi_output_grads {
    sqzi_real *logits, *embeddings, *hidden;
    sqzi_block_keep_grad *blocks; /* [n_blocks] */
} sqzi_output_grads;

#endif
