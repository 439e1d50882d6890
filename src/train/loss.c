/* SPDX-License-Identifier: Apache-2.0 */
/* The table of losses. */
#include "train/loss.h"

#include <string.h>

static const sqzi_loss_kind kinds[] = {{.name = "cross_entropy",
                                        .least_texts = 1,
                                        .most_texts = 1,
                                        .reads = SQZI_READS_LOGITS,
                                        .check = sqzi_check_classes,
                                        .count = sqzi_count_weights,
                                        .run = sqzi_cross_entropy},
                                       {.name = "binary_cross_entropy",
                                        .least_texts = 1,
                                        .most_texts = 1,
                                        .reads = SQZI_READS_LOGITS,
                                        .check = sqzi_check_shares,
                                        .count = sqzi_count_numbers,
                                        .run = sqzi_binary_cross_entropy},
                                       {.name = "mse",
                                        .least_texts = 1,
                                        .most_texts = 1,
                                        .reads = SQZI_READS_LOGITS,
                                        .check = sqzi_check_numbers,
                                        .count = sqzi_count_numbers,
                                        .run = sqzi_mse},
                                       {.name = "cosine",
                                        .least_texts = 2,
                                        .most_texts = 2,
                                        .reads = SQZI_READS_EMBEDDINGS,
                                        .across = true,
                                        .check = sqzi_check_cosine,
                                        .count = sqzi_count_items,
                                        .run = sqzi_cosine_loss,
                                        .room = sqzi_room_of_pairs},
                                       {.name = "cosent",
                                        .least_texts = 2,
                                        .most_texts = 2,
                                        .reads = SQZI_READS_EMBEDDINGS,
                                        .across = true,
                                        .check = sqzi_check_score,
                                        .count = sqzi_count_items,
                                        .run = sqzi_cosent,
                                        .room = sqzi_room_of_pairs},
                                       {.name = "ranking",
                                        .least_texts = 2,
                                        .most_texts = SQZ_MOST_TEXTS,
                                        .reads = SQZI_READS_EMBEDDINGS,
                                        .across = true,
                                        .count = sqzi_count_items,
                                        .run = sqzi_ranking,
                                        .room = sqzi_room_of_ranking}};

const sqzi_loss_kind *sqzi_loss_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

const sqzi_loss_kind *sqzi_loss_of_problem(sqz_problem problem)
{
    return &kinds[problem];
}
