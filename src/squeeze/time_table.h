/* SPDX-License-Identifier: Apache-2.0 */
/* What a model takes by what its blocks are, on this machine: each shape of a block that somebody
 * asks about runs in the model's place of blocks, embedding and head around it, at one batch and
 * length, each beside the first of them (timed_run.h).
 *
 *     time of a model = what is no block + the sum over its blocks
 *     time of a block = the model with it alone - the model without blocks
 *
 * Blocks are invented (invented_block.h), so there is no file yet. Shapes lie in memory beside one
 * another and run in turn, so that each finds the caches without its weights, as a block of a model
 * does whose other blocks ran before. Where all would take more than 256 MB they are measured some
 * at a time.
 *
 * Tables are kept in files, each for its CPU, kernels, threads, shapes and what runs around them.
 */
#ifndef SQZI_TIME_TABLE_H
#define SQZI_TIME_TABLE_H

#include "squeeze/squeeze_plan.h"

/* Everything of a block that its time depends on. */
enum { SQZI_BLOCK_SHAPE = 4 + SQZI_BLOCK_LINEARS * (5 + 5 * SQZI_MAX_TERMS) };
typedef struct sqzi_block_shape {
    uint32_t numbers[SQZI_BLOCK_SHAPE];
} sqzi_block_shape;

typedef struct sqzi_time_options {
    bool integers; /* blocks are of int8, else of f32 */
    uint32_t n_sequences, length;
    const char *folder; /* of the cache, or NULL */
} sqzi_time_options;

typedef struct sqzi_time_table {
    const sqzi_weights *weights;
    sqzi_time_options options;
    uint32_t n, room;
    sqzi_block_plan *plans;   /* [n of room] an example of each shape */
    sqzi_block_shape *shapes; /* [n] */
    float *ns;                /* [1 + n] of what is no block, and of the shapes */
    bool cached, useless;     /* it was found; a file was there and is made anew */
} sqzi_time_table;

/* The times of these blocks [n], equal shapes once. weights: the model's, all blocks, as long as
 * the table is in use. Cost: some seconds at most, but each shape runs twice.
 * SQZ_ENOMEM, SQZ_EUNSUPPORTED: no kernel multiplies int8; SQZ_EINVAL: the folder's name is too
 * long; SQZ_EOUTPUT: the table cannot be kept, or what has its name is no such file. Discard in any
 * case. */
SQZ_NODISCARD sqz_status sqzi_time_table_make(const sqzi_weights *weights,
                                              const sqzi_time_options *options,
                                              const sqzi_block_plan *blocks, uint32_t n,
                                              sqzi_time_table *table, sqz_error *error);
void sqzi_time_table_discard(sqzi_time_table *table);

/* Nanoseconds of a block that was asked for; NaN of another. */
double sqzi_time_of_block(const sqzi_time_table *table, const sqzi_block_plan *block);
/* Of all blocks and what is around them. */
double sqzi_time_of_blocks(const sqzi_time_table *table, const sqzi_block_plan *blocks, uint32_t n);

/* ---- time_table_cache.c ---- */

/* Fill in ns, where there is a file with them. SQZ_ENOMEM, SQZ_EINVAL, SQZ_EOUTPUT. */
SQZ_NODISCARD sqz_status sqzi_time_table_load(sqzi_time_table *table, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_time_table_save(const sqzi_time_table *table, sqz_error *error);

#endif
