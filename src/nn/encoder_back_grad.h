/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of an encoder's backward, as its tape holds it. */
#ifndef SQZI_ENCODER_BACK_GRAD_H
#define SQZI_ENCODER_BACK_GRAD_H

#include "nn/embedding_grad.h"

struct sqzi_encoder_back {
    sqzi_block_keep *again;  /* [n_blocks] where blocks run again: what they keep then */
    sqzi_block_back *blocks; /* [n_blocks] */
    sqzi_block_back_rows rows;
    sqzi_embedding_back embedding;
    sqzi_back_scratch *scratch; /* [members] */
};

#endif
