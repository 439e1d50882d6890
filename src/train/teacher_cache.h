/* SPDX-License-Identifier: Apache-2.0 */
/* What a teacher made of each example, kept from the first epoch on: logits and embeddings. In
 * memory; once they are all there, in a file too, where another run of the same teacher on the same
 * examples finds them. A row's bits depend on its own sequence alone, so a row that is kept is the
 * one that would be computed. */
#ifndef SQZI_TEACHER_CACHE_H
#define SQZI_TEACHER_CACHE_H

#include <squeezebert/train.h>

#include "train/teacher.h"

typedef struct sqzi_teacher_cache {
    const sqz_allocator *allocator; /* NULL: nothing is kept */
    const char *path;
    char key[SQZI_SHA256_HEX];
    uint32_t n, n_known;        /* examples */
    size_t classes, dimensions; /* 0: not learned */
    uint64_t *first;            /* [n + 1] items of logits before an example */
    unsigned char *known;       /* [n] */
    float *logits, *embeddings;
    bool saved;
    void *block;
    size_t bytes;
    void (*note)(void *user, const char *text);
    void *user;
} sqzi_teacher_cache;

/* What is to be kept.
 *
 *   plan       what is learned: logits and embeddings alone
 *   path       the file
 *   most       bytes of rows; where they are more, note says so and nothing is kept
 *   note       called with what a user should see; may be NULL
 */
typedef struct sqzi_teacher_keep {
    const sqzi_teacher *teacher;
    const sqzi_distil_plan *plan;
    const sqz_train_data *data;
    const char *path;
    uint64_t most;
    void (*note)(void *user, const char *text);
    void *user;
} sqzi_teacher_keep;

/* With what the file holds; where that is damaged or of something else, note says so. SQZ_ENOMEM.
 * Close in any case. */
SQZ_NODISCARD sqz_status sqzi_teacher_cache_open(const sqz_context *context,
                                                 const sqzi_teacher_keep *keep,
                                                 sqzi_teacher_cache *cache, sqz_error *error);
void sqzi_teacher_cache_close(sqzi_teacher_cache *cache);

/* Rows of the sequences of a batch [n_sequences]: to the teacher's outputs, where all are known;
 * and from them, once it has run. The last one of all writes the file; where that fails, note says
 * so. */
bool sqzi_teacher_cache_get(const sqzi_teacher_cache *cache, const uint32_t *rows,
                            const sqzi_batch *batch, sqzi_teacher *teacher);
void sqzi_teacher_cache_put(sqzi_teacher_cache *cache, const uint32_t *rows,
                            const sqzi_batch *batch, const sqzi_teacher *teacher);

#endif
