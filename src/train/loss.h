/* SPDX-License-Identifier: Apache-2.0 */
/* Losses: of what a model made of a batch (outputs.h) against labels, or of the texts of its
 * examples against one another.
 *
 * A loss is a sum over items divided by a count over the whole batch, so that a batch that is run
 * in parts has the loss and gradient of the batch: the count is made before anything runs. A loss
 * across examples is handed the whole batch at once. Arithmetic is in double, items in order.
 *
 *   cross_entropy   of item i with label y and p = softmax(z), s the smoothing, w the weights:
 *                   -(1 - s) w[y] log p[y] - s/K sum_c w[c] log p[c];  divided by sum of w[y].
 *                   Items are sequences, or tokens; one without a label counts nothing
 *   binary_cross_entropy
 *                   of item i and class c with target t: -w[c] t log s(z) - (1 - t) log(1 - s(z)),
 *                   s the logistic function; divided by items times classes
 *   mse             (z - t)^2; divided by items times classes
 *
 * Of both, items without targets count nothing.
 *
 * as torch's cross_entropy (ignore_index where a label is < 0), binary_cross_entropy_with_logits
 * and mse_loss have them. Of embeddings, the cosine c of two of an example's texts, across the n
 * examples of the batch, as sentence-transformers' CosineSimilarityLoss, CoSENTLoss and
 * MultipleNegativesRankingLoss:
 *
 *   cosine    mean_i (c(i0, i1) - t[i])^2
 *   cosent    log(1 + sum over pairs with t[i] > t[j] of e^(scale (c(j0, j1) - c(i0, i1))))
 *   ranking   mean_i of the cross entropy of text 1 of i, being what text 0 of i belongs to, among
 *             texts 1 and more of all examples: logits scale c. Symmetric: the mean of that and of
 *             text 0 of i among texts 0 of all, for text 1 of i (directions query_to_doc and
 *             doc_to_query, per_direction)
 *
 * The cosine of a vector that is 0 is 0 and has no gradient.
 */
#ifndef SQZI_LOSS_H
#define SQZI_LOSS_H

#include <squeezebert/train.h>

#include "train/outputs.h"

/* The labels of a part of a batch, or of all of it. */
typedef struct sqzi_loss_items {
    size_t n;
    const int32_t *labels; /* [n] of cross entropy, < 0: none */
    /* [n, classes] of the others, NaN: none; cosine and cosent: [n] scores */
    const float *targets;
} sqzi_loss_items;

/* What a loss is handed: it reads outputs, and adds weight times d of its value to grads. */
typedef struct sqzi_loss_args {
    const sqzi_loss_items *items;
    double count;
    const sqzi_outputs *outputs;
    const sqzi_output_grads *grads;
    double *scratch; /* [room] */
} sqzi_loss_args;

/* What it reads of outputs: bits. */
typedef enum sqzi_loss_reads { SQZI_READS_LOGITS = 1, SQZI_READS_EMBEDDINGS = 2 } sqzi_loss_reads;

typedef struct sqzi_loss sqzi_loss;

/* What the functions of a loss have in common.
 *
 *   check    that example `row` has the labels that are needed. SQZ_EINVAL
 *   count    what these items add to the count
 *   run      the items' part of the loss, divided by the count. Count 0: 0, and nothing is added
 *   room     numbers of scratch for n items
 */
typedef sqz_status sqzi_loss_check(const sqzi_loss *loss, const sqz_train_example *example,
                                   uint32_t row, sqz_error *error);
typedef double sqzi_loss_count(const sqzi_loss *loss, const sqzi_loss_items *items);
typedef double sqzi_loss_run(const sqzi_loss *loss, const sqzi_loss_args *args);
typedef size_t sqzi_loss_room(const sqzi_loss *loss, size_t n);

/* A line of the table.
 *
 *   least_texts, most_texts   of an example
 *   reads    sqzi_loss_reads
 *   across   examples: it runs once, with the whole batch; it reads embeddings alone
 */
typedef struct sqzi_loss_kind {
    const char *name;
    uint32_t least_texts, most_texts;
    uint32_t reads;
    bool across;
    sqzi_loss_check *check; /* NULL: none are needed */
    sqzi_loss_count *count;
    sqzi_loss_run *run;
    sqzi_loss_room *room; /* NULL: none */
} sqzi_loss_kind;

/* One that is used, with its settings. */
struct sqzi_loss {
    const sqzi_loss_kind *kind;
    double weight;        /* in the sum of a step's losses */
    uint32_t classes;     /* of logits */
    bool tokens;          /* have the labels, not sequences */
    double smoothing;     /* cross entropy's */
    const float *weights; /* [classes], or NULL: 1 */
    /* of embeddings [items, texts, dimensions] */
    uint32_t texts, dimensions;
    double scale;
    bool symmetric;
};

/* The line of that name; NULL: there is none. */
const sqzi_loss_kind *sqzi_loss_find(const char *name);

/* That of a head's problem. */
const sqzi_loss_kind *sqzi_loss_of_problem(sqz_problem problem);

/* ---- of labels (loss_label.c) ---- */

sqzi_loss_check sqzi_check_classes, sqzi_check_shares, sqzi_check_numbers;
sqzi_loss_count sqzi_count_weights, sqzi_count_numbers;
sqzi_loss_run sqzi_cross_entropy, sqzi_binary_cross_entropy, sqzi_mse;

/* ---- of embeddings (loss_embed.c) ---- */

sqzi_loss_check sqzi_check_cosine, sqzi_check_score;
sqzi_loss_count sqzi_count_items;
sqzi_loss_run sqzi_cosine_loss, sqzi_cosent, sqzi_ranking;
sqzi_loss_room sqzi_room_of_pairs, sqzi_room_of_ranking;

#endif
