/* SPDX-License-Identifier: Apache-2.0 */
/* Tiny encoders and heads from structs, of every form of sqzt_tiny_forms, without a file: masters,
 * from which the matrices are packed, again after each change. Whatever type a form's file has, the
 * masters are reals and the gemms those of f32, or of bf16 where asked for; words are a table. */
#ifndef SQZT_TINY_ENCODER_H
#define SQZT_TINY_ENCODER_H

#include "nn/grad.h"
#include "support/random.h"
#include "support/tiny_model.h"

/* A tensor: its name, its numbers and where its gradient goes. */
typedef struct sqzt_tensor {
    char name[SQZI_TENSOR_NAME];
    sqzi_real *master, *grad;
    size_t n;
    sqzi_real **grad_at; /* in the struct of gradients: NULL there freezes the tensor */
} sqzt_tensor;

enum { SQZT_MOST_TENSORS = 128 };

typedef struct sqzt_encoder {
    sqzk_table kernels;
    const sqzk_gemm *gemm;
    sqzi_encoder encoder;
    sqzi_head head;
    bool embeds; /* the head is a pooling of embeddings */
    sqzi_encoder_numbers masters, grads;
    sqzi_head_numbers head_masters, head_grads;
    sqzt_tensor tensors[SQZT_MOST_TENSORS];
    uint32_t n_tensors;
    void *memory[1024];
    uint32_t n_memory;
    sqzt_random random;
} sqzt_encoder;

void sqzt_encoder_make(sqzt_encoder *e, const sqzt_tiny *tiny, uint32_t features, sqzi_type type);
/* Pack every matrix from the masters again. */
void sqzt_encoder_pack(sqzt_encoder *e);
void sqzt_encoder_free(sqzt_encoder *e);

#endif
