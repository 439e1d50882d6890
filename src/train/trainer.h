/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a trainer. */
#ifndef SQZI_TRAINER_H
#define SQZI_TRAINER_H

#include <squeezebert/train.h>

#include "base/sha256.h"
#include "train/batch_gradient.h"
#include "train/distilling.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/trainable.h"

/* What runs need of the data, found by going through all of it once. */
typedef struct sqzi_data_facts {
    sqzi_gradient_sizes sizes; /* of the largest part of a batch */
    uint32_t max_examples;     /* of the largest batch */
    uint64_t max_batch_tokens;
    /* of the largest part, in pieces of the teacher's own; 0: it has none */
    uint32_t teacher_tokens, teacher_length;
    char sha256[SQZI_SHA256_HEX];
} sqzi_data_facts;

/* A part of a batch, packed; its labels, or those of all of it. Items are examples, or tokens. */
typedef struct sqzi_packed_part {
    uint32_t *first, *ids, *examples, *skip;
    uint8_t *types, *views;
    int32_t *labels; /* [items] */
    float *targets;  /* [items, K] */
} sqzi_packed_part;

/* What a loss across examples is handed: all texts of a batch. */
typedef struct sqzi_whole_batch {
    sqzi_real *embeddings, *d; /* [examples, texts, D] */
    double *scratch;
} sqzi_whole_batch;

/* Where a run stands, beside masters and moments. */
typedef struct sqzi_run_state {
    uint64_t step;      /* done */
    uint64_t best_step; /* 0: nothing was evaluated, or nothing had a score */
    double best_score;
    uint32_t worse; /* evaluations since the best */
    bool stopped;   /* by patience */
} sqzi_run_state;

struct sqz_trainer {
    sqz_context *context;
    sqz_train_recipe recipe; /* settled */
    sqz_train_data data;
    sqzi_data_facts facts;
    sqzi_trainable trainable;
    sqzi_optimizer optimizer;
    sqzk_grad_table kernels;
    sqzi_batch_gradient gradient;
    sqzi_packed_part part;
    sqzi_whole_batch whole;
    bool labelled, logits;      /* labels are learned; the head is run */
    bool unnamed;               /* labels are the teacher's, who names none */
    sqzi_span task;             /* whose labels they are, as data or teacher say */
    sqzi_loss loss;             /* of labels */
    sqzi_distilling distilling; /* with recipe.distil */
    uint64_t n_steps, warmup;   /* of all epochs */
    sqzi_run_state state;
    float *best; /* masters of best_step, one behind the other; NULL until needed */
    size_t n_best;
    char base_sha256[SQZI_SHA256_HEX];
    void *block; /* of gradient and part; NULL: given back */
    size_t bytes;
};

/* Examples against the model, the teacher (NULL: there is none) and the recipe, and every batch of
 * every epoch. */
SQZ_NODISCARD sqz_status sqzi_trainer_check_data(const sqz_train_data *data,
                                                 const sqz_train_recipe *recipe,
                                                 const sqzi_loss *loss, const sqz_model_info *info,
                                                 const sqz_model_info *teacher,
                                                 sqzi_data_facts *facts, sqz_error *error);

/* Steps that this run ends at. */
uint64_t sqzi_trainer_end(const sqz_trainer *trainer);

/* The memory of a batch, which steps need and nothing else: make it, where it is not there; give it
 * back. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_trainer_make_room(sqz_trainer *trainer, sqz_error *error);
void sqzi_trainer_free_room(sqz_trainer *trainer);

/* Step state.step of the trainer: the batch that comes next, loss and gradient, update. What it did
 * goes to *progress. */
SQZ_NODISCARD sqz_status sqzi_trainer_step(sqz_trainer *trainer, sqz_train_progress *progress,
                                           sqz_error *error);

/* NULL: nothing is learned of a teacher. */
const sqzi_distilling *sqzi_trainer_distilling(const sqz_trainer *trainer);

/* The model as it is now to a writer; masters: of what is fake-quantised too. */
SQZ_NODISCARD sqz_status sqzi_trainer_put(const sqz_trainer *trainer, bool masters,
                                          sqzi_gguf_writer *writer, sqz_error *error);

/* Masters to trainer->best, and back. */
SQZ_NODISCARD sqz_status sqzi_trainer_keep_best(sqz_trainer *trainer, sqz_error *error);
void sqzi_trainer_restore_best(sqz_trainer *trainer);

#endif
