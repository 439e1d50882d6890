/* SPDX-License-Identifier: Apache-2.0 */
/* A data set as a trainer takes it: its examples, and the order in which they are trained on. In
 * libsqueezebert-full.
 *
 * An epoch's order: all rows permuted; the next 50 batches' worth of them sorted by their pieces,
 * fewest first, as they stood where equal; cut into batches; and the batches shuffled. So a batch's
 * texts are alike in length, and little is computed for the longest one alone. Each epoch's order
 * is made from the seed and its number: it can be asked for at any time.
 */
#ifndef SQUEEZEBERT_BATCHES_H
#define SQUEEZEBERT_BATCHES_H

#include <squeezebert/dataset.h>
#include <squeezebert/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sqz_batches sqz_batches;

/* Zero-initialise; batch is needed.
 *
 *   rows     [n_rows] the examples to train on, as sqz_dataset_split gives them; NULL: all
 *   batch    examples of a batch; the last of an epoch's rows may be fewer
 *   distinct 1: no text stands twice in a batch, as SQZ_LOSS_RANKING needs it: an example with a
 *            text that is there already waits for the next batch, before those that follow. Texts
 *            are compared as sqz_dataset_repeats does. Batches are as even as that allows; there
 *            are more of them where a text stands in more examples than there would be batches
 *   seed     of the order
 *   most_pieces   0, or rows are left out, by chance, so that the others have about so many pieces
 *   texts    NULL, or a data set of plain texts, tokenised alike, whose examples come behind the
 *            rows and have no labels (sqz_train_example.unlabelled); most_pieces is of these alone
 *            then. Stays open
 *   replay   a file of batches, [[3, 0, 7], [1, ...], ...] as JSON: row numbers from 0, within
 *            `rows` where these are given. Batch i of epoch e is number e * n_batches + i of it,
 *            n_batches being what `batch` makes of the rows; those behind its end are drawn. NULL:
 *            all are drawn
 */
typedef struct sqz_batches_options {
    const uint32_t *rows;
    size_t n_rows;
    uint32_t batch;
    int distinct;
    uint64_t seed;
    const char *replay;
    uint64_t most_pieces;
    const sqz_dataset *texts;
    uint64_t reserved[4];
} sqz_batches_options;

/* The data set must be tokenised, and stay so and open; `rows` is copied.
 * Memory: some 90 bytes an example and text, and 4 times the classes for each where they have
 * several.
 *
 * SQZ_EINVAL: no batch, no rows, a row that is none; the data set has no pieces; a class that no
 * row has (error.offset: the class); distinct, of examples that were not tokenised by their texts,
 * or rows that do not rise, or beside most_pieces or
 * texts; texts beside examples of several texts, or one of both alone tokenised for a teacher.
 * SQZ_EIO: no file to replay. SQZ_EFORMAT: it holds something else, the text says which batch;
 * distinct: the negative of an example is one of its other texts. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_batches_open(const sqz_dataset *dataset,
                                                  const sqz_batches_options *options,
                                                  sqz_batches **batches, sqz_error *error);
SQZ_API void sqz_batches_close(sqz_batches *batches);
/* For sqz_trainer_open; until the batches are closed. Its `batch` keeps the order of one epoch, the
 * last one that was asked for: not for two threads at once. */
SQZ_API const sqz_train_data *sqz_batches_data(const sqz_batches *batches);
/* Examples of the epoch that wait for a batch at its end, and are left out of it: no batch could
 * take them. 0 unless distinct. */
SQZ_API uint32_t sqz_batches_left_out(sqz_batches *batches, uint32_t epoch);
/* Batches of the file that is replayed; 0 where there is none. */
SQZ_API uint64_t sqz_batches_replayed(const sqz_batches *batches);
/* Examples of each class [n_classes]: of several labels, those that have it; of words, words. */
SQZ_API const uint64_t *sqz_batches_counts(const sqz_batches *batches);

#ifdef __cplusplus
}
#endif

#endif
