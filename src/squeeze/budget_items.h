/* SPDX-License-Identifier: Apache-2.0 */
/* What a budget chooses among: the settings of each part of a model, what they change, the bytes
 * that they take, and what they mean. */
#ifndef SQZI_BUDGET_ITEMS_H
#define SQZI_BUDGET_ITEMS_H

#include "squeeze/budget.h"
#include "squeeze/squeeze_budget.h"

/* What a setting means, of whichever item. */
typedef struct sqzi_setting_meaning {
    sqzi_storage storage[SQZI_BLOCK_LINEARS]; /* of a block's own; of a table the first */
    uint32_t parts;                           /* of a product quantised table */
    uint32_t units;                           /* heads or neurons that stay */
} sqzi_setting_meaning;

enum { SQZI_BUDGET_SHARES = 8, SQZI_MOST_SETTINGS = SQZI_BUDGET_SHARES * 81 };

typedef struct sqzi_setting_item {
    sqzi_budget_setting settings[SQZI_MOST_SETTINGS];
    sqzi_setting_meaning meanings[SQZI_MOST_SETTINGS];
    uint32_t n;
} sqzi_setting_item;

/* Two of a block, and words and positions behind those. */
typedef struct sqzi_setting_items {
    sqzi_setting_item *list;
    sqzi_budget_item *view; /* of those that are in the model that is tried */
    uint32_t *chosen;       /* [3, n] */
    uint32_t n;             /* of list */
    size_t bytes;
    void *block;
} sqzi_setting_items;

/* Of the blocks of a plan by hand and of the tables. SQZ_ENOMEM. Release block [bytes] in any
 * case. */
SQZ_NODISCARD sqz_status sqzi_setting_items_make(const sqzi_budget_task *task,
                                                 const sqzi_squeeze_plan *plan,
                                                 sqzi_setting_items *items, sqz_error *error);

/* Every shape of a block that there is a setting for, half by half: its heads with the neurons by
 * hand, its neurons with the heads by hand. How many there are. */
uint32_t sqzi_setting_shapes(const sqzi_budget_task *task, const sqzi_block_plan *plan,
                             sqzi_block_plan shapes[2 * SQZI_BUDGET_SHARES]);

/* The token embeddings are named by hand, or nothing bounds their bytes. */
bool sqzi_words_by_hand(const sqz_squeeze_options *options, uint64_t budget);

#endif
