/* SPDX-License-Identifier: Apache-2.0 */
/* Items in groups of equal size, each where its score is high. */
#ifndef SQZI_BALANCED_GROUPS_H
#define SQZI_BALANCED_GROUPS_H

#include "base/memory.h"

typedef struct sqzi_scored_item {
    double score;
    uint32_t item;
} sqzi_scored_item;

/* order [n]: group g holds items order[g n/G .. (g + 1) n/G). Of every pair of groups the items are
 * dealt out anew, those with the largest difference of scores first, until none changes: the sum of
 * score[item, group] never falls, and with two groups it is the largest there is. score [n, G];
 * room [2 n/G]. Within a group items ascend. */
void sqzi_balance_groups(uint32_t n, uint32_t groups, const double *score, uint32_t *order,
                         sqzi_scored_item *room);

/* The sum of score[item, group]. */
double sqzi_score_of_groups(uint32_t n, uint32_t groups, const double *score,
                            const uint32_t *order);

/* order [n] a permutation that depends on n and `start` alone. */
void sqzi_shuffle(uint32_t n, uint32_t start, uint32_t *order);

/* Ascending within each group. */
void sqzi_sort_groups(uint32_t n, uint32_t groups, uint32_t *order);

/* The larger score first, then the smaller item. */
int sqzi_compare_scored(const void *a, const void *b);

#endif
