/* SPDX-License-Identifier: Apache-2.0 */
/* What the linears of a model read on some texts: mean and covariance of each block's four inputs,
 * from one run of the model (observe.h), and how often each piece occurs.
 *
 * Sums are taken in double over whole texts without padding, of products of at most 256 rows each
 * in f32 (of what rows differ from a provisional mean), and stored as f32: one run that was read
 * from a cache and one that was made anew give the same bits. They do not depend on threads; their
 * last bits depend on the kernel level.
 */
#ifndef SQZI_STATISTICS_H
#define SQZI_STATISTICS_H

#include "squeeze/observe.h"

typedef struct sqzi_input_statistics {
    uint32_t n; /* numbers of a row; 0: nothing was seen */
    uint64_t rows;
    float *mean;       /* [n] */
    float *covariance; /* [n, n] symmetric, about the mean */
} sqzi_input_statistics;

/* The different inputs of a block. */
typedef enum sqzi_block_input {
    SQZI_INPUT_QKV,
    SQZI_INPUT_ATTN_OUTPUT,
    SQZI_INPUT_FFN_UP,
    SQZI_INPUT_FFN_DOWN,
    SQZI_BLOCK_INPUTS
} sqzi_block_input;

typedef struct sqzi_statistics {
    const sqz_allocator *allocator;
    uint32_t n_blocks, n_words;
    sqzi_input_statistics (*blocks)[SQZI_BLOCK_INPUTS]; /* [n_blocks] of the model */
    sqzi_input_statistics projection;                   /* of the embedding's, where it has one */
    uint64_t *word_counts;                              /* [n_words] special tokens included */
} sqzi_statistics;

/* Which input linear j of a block reads (nn/tensor_list.h). */
sqzi_block_input sqzi_block_input_of(uint32_t j);

/* One run over the sequences. `blocks` [n] ascending: the blocks that are run, the others are left
 * out of the model and their statistics have n = 0; NULL: all. Progress as sqz_quantize_options.
 * Cost: the model runs once, and as much again for the covariances (n^2 a row). Memory: one block's
 * sums in double beside the result.
 * SQZ_ENOMEM, SQZ_ECANCELLED; SQZ_ENUMERIC where an input is not finite. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_statistics_make(
    const sqz_model *model, const sqzi_sequences *sequences, const uint32_t *blocks, uint32_t n,
    int (*progress)(void *user, size_t done, size_t total), void *user, sqzi_statistics *statistics,
    sqz_error *error);
/* How often each piece occurs, and nothing else. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_statistics_count(const sqz_model *model,
                                               const sqzi_sequences *sequences,
                                               sqzi_statistics *statistics, sqz_error *error);
void sqzi_statistics_discard(sqzi_statistics *statistics);

/* ---- statistics_cache.c ---- */

enum { SQZI_STATISTICS_KEY = 65 };

/* What they depend on, as SHA-256 in hexadecimal: the library's version, the kernels in use, every
 * byte of the model's file, the sequences, and the blocks that are run. */
void sqzi_statistics_key(const sqz_model *model, const sqzi_sequences *sequences,
                         const uint32_t *blocks, uint32_t n, char key[SQZI_STATISTICS_KEY]);

/* Those of a file that sqzi_statistics_save wrote for the same key; *found false where it is
 * absent, damaged, or of another. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_statistics_load(const sqz_model *model, const char *key,
                                              const char *path, sqzi_statistics *statistics,
                                              bool *found, sqz_error *error);
/* What sqzi_statistics_make is called with, and the folder of a cache, or NULL. */
typedef struct sqzi_statistics_run {
    const sqz_model *model;
    const sqzi_sequences *sequences;
    const uint32_t *blocks; /* [n] or NULL */
    uint32_t n;
    const char *folder;
    int (*progress)(void *user, size_t done, size_t total);
    void *user;
} sqzi_statistics_run;

/* Those of the folder, or made, and kept there. *useless: a file was there that was none of them.
 * As sqzi_statistics_make and _save; SQZ_EINVAL: the folder's name is too long. */
SQZ_NODISCARD sqz_status sqzi_statistics_find(const sqzi_statistics_run *run,
                                              sqzi_statistics *statistics, bool *found,
                                              bool *useless, sqz_error *error);
/* A GGUF with checksums, in place once it is whole. SQZ_EOUTPUT, SQZ_ERESOURCE, SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_statistics_save(const sqzi_statistics *statistics, const char *key,
                                              const char *path, sqz_error *error);

/* Room for what was seen of n numbers a row. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_input_statistics_make(const sqz_allocator *allocator, uint32_t n,
                                                    sqzi_input_statistics *statistics,
                                                    sqz_error *error);
/* Those of the inputs kept [n] alone: *to is discarded in any case. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_input_statistics_kept(const sqz_allocator *allocator,
                                                    const sqzi_input_statistics *from,
                                                    const uint32_t *kept, uint32_t n,
                                                    sqzi_input_statistics *to, sqz_error *error);
void sqzi_input_statistics_discard(const sqz_allocator *allocator,
                                   sqzi_input_statistics *statistics);
/* Room for those of each block and word; all n are 0. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_statistics_begin(const sqz_model *model, sqzi_statistics *statistics,
                                               sqz_error *error);

#endif
