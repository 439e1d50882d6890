/* SPDX-License-Identifier: Apache-2.0 */
/* What every setting of every linear and table that a budget may choose costs in errors: the change
 * of the model's output (trial.h) that it causes alone. Changes of several settings add up.
 *
 *   bits        each linear is rounded on what it reads and runs in the model at 3 bits; at 4 and 8
 *               the change is less by as much as the relative error of its output is
 *   neurons,    half of a block's are removed, the rest is refitted and runs; for other shares as
 *   heads       the relative error after the refit (neurons.h)
 *   tables      rounded, or product quantised by two rounds of k-means, they run
 *   layers      blocks are left out, those that change least first
 */
#ifndef SQZI_SETTING_ERRORS_H
#define SQZI_SETTING_ERRORS_H

#include "squeeze/neurons.h"
#include "squeeze/trial.h"

/* Storages that a budget may choose: of linears the first three. */
enum { SQZI_LINEAR_STORAGES = 3, SQZI_TABLE_STORAGES = 4, SQZI_MOST_PRODUCTS = 8 };
extern const sqzi_storage sqzi_storages[SQZI_TABLE_STORAGES];

typedef struct sqzi_block_errors {
    double bits[SQZI_BLOCK_LINEARS][SQZI_LINEAR_STORAGES];
    sqzi_removal removals[2]; /* by sqzi_removed; n_units 0: none can go */
    double change[2];         /* of the output for each unit of a removal's error */
} sqzi_block_errors;

/* The table of words in codes: a draft of two rounds, and what it changes. */
typedef struct sqzi_product_error {
    sqzi_weight_product draft; /* [n_words, parts] */
    double change;
} sqzi_product_error;

typedef struct sqzi_setting_errors {
    const sqz_allocator *allocator;
    uint32_t n_blocks;
    sqzi_block_errors *blocks; /* [n_blocks] */
    double words[SQZI_TABLE_STORAGES], positions[SQZI_TABLE_STORAGES];
    uint32_t n_words, word_width;
    uint32_t n_products;
    sqzi_product_error products[SQZI_MOST_PRODUCTS]; /* by parts, descending */
    /* blocks in the order in which they go, and the change when order[0 .. i] are gone */
    uint32_t n_order; /* 0 where none may go */
    uint32_t *order;  /* [n_order] */
    double *without;  /* [n_order] */
} sqzi_setting_errors;

/* Parts that a table of words in codes may have, descending; how many. */
uint32_t sqzi_product_sizes(const sqzi_weights *weights, uint32_t sizes[SQZI_MOST_PRODUCTS]);

/* What is fixed anyway needs no errors. */
typedef struct sqzi_setting_errors_options {
    bool no_bits, no_tables, no_products, no_neurons, no_heads, no_layers;
    /* called after each of 2 n_blocks + 1 steps; other than 0 stops with SQZ_ECANCELLED. May be
     * NULL */
    int (*step)(void *user);
    void *user;
} sqzi_setting_errors_options;

/* blocks [n] ascending: what the model consists of, all that errors are asked of; NULL: all.
 * statistics: of these; sequences: what is run, of which the first that reach SQZI_TRIAL_TOKENS are
 * enough.
 *
 * Cost: three roundings a linear, an order of removal and a refit a block, and eleven runs of the
 * sequences a block, half of them of half the model: MiniLM-L6 20 s of one core. Memory: the
 * weights as f32 twice. SQZ_ENOMEM, SQZ_ENUMERIC, SQZ_ECANCELLED. Discard in any case. */
enum { SQZI_TRIAL_TOKENS = 2048 };
SQZ_NODISCARD sqz_status sqzi_setting_errors_make(const sqz_model *model,
                                                  const sqzi_statistics *statistics,
                                                  const sqzi_sequences *sequences,
                                                  const uint32_t *blocks, uint32_t n,
                                                  const sqzi_setting_errors_options *options,
                                                  sqzi_setting_errors *errors, sqz_error *error);
void sqzi_setting_errors_discard(sqzi_setting_errors *errors);

#endif
