/* SPDX-License-Identifier: Apache-2.0 */
/* Items by blocks that are left, and plans of choices. */
#include "squeeze/budget_chooser.h"

#include <string.h>

#include "base/error.h"

static bool is_gone(const sqzi_chooser *c, uint32_t source, uint32_t n_gone)
{
    for (uint32_t i = 0; i < n_gone; i++)
        if (c->task->errors->order[i] == source) return true;
    return false;
}

uint32_t sqzi_chooser_view(const sqzi_chooser *c, uint32_t n_gone)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->all.n; i++) {
        const sqzi_setting_item *one = &c->all.list[i];
        if (i / 2 < c->by_hand.n_blocks && is_gone(c, c->by_hand.blocks[i / 2].source, n_gone))
            continue;
        c->all.view[n++] = (sqzi_budget_item){one->settings, one->n};
    }
    return n;
}

/* What is no item's and leaves with a block: its norms, and what names of tensors and the padding
 * between them take. */
uint64_t sqzi_chooser_overhead(const sqzi_chooser *c, uint32_t n_gone)
{
    enum { TENSORS = 22, NAME_AND_PADDING = 72 };
    const uint64_t a_block = (uint64_t)4 * c->task->weights->width * sizeof(float) +
                             TENSORS * NAME_AND_PADDING;
    return (c->by_hand.n_blocks - n_gone) * a_block;
}

double sqzi_chooser_without(const sqzi_chooser *c, uint32_t n_gone)
{
    const double counts = c->task->counts[SQZI_CHANGE_LAYERS];
    return n_gone ? c->task->errors->without[n_gone - 1] * (counts > 0 ? counts : 1) : 0;
}

void sqzi_chooser_apply(const sqzi_chooser *c, uint32_t n_gone, const uint32_t *chosen,
                        sqzi_squeeze_plan *plan)
{
    const sqzi_squeeze_plan *hand = &c->by_hand;
    uint32_t n = 0, at = 0;
    for (uint32_t i = 0; i < hand->n_blocks; i++) {
        if (is_gone(c, hand->blocks[i].source, n_gone)) continue;
        const sqzi_setting_meaning *attention = &c->all.list[2 * i].meanings[chosen[at++]],
                                   *ffn = &c->all.list[2 * i + 1].meanings[chosen[at++]];
        sqzi_block_plan *to = &plan->blocks[n++];
        *to = hand->blocks[i];
        to->heads = attention->units;
        to->neurons = ffn->units;
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            to->linears[j].storage = (j < SQZI_FFN_UP ? attention : ffn)->storage[j];
    }
    plan->n_blocks = n;
    const sqzi_setting_meaning *words = &c->all.list[c->all.n - 2].meanings[chosen[at++]],
                               *positions = &c->all.list[c->all.n - 1].meanings[chosen[at]];
    if (words->parts) {
        plan->embedding = SQZ_EMBEDDING_PRODUCT;
        plan->embedding_size = words->parts;
    } else if (!sqzi_words_by_hand(c->task->options, c->task->budget)) {
        plan->embedding = hand->embedding;
        plan->word = words->storage[0];
    }
    plan->position = positions->storage[0];
    if (!c->task->options->bits && c->task->budget)
        plan->factor = plan->projection = plan->others = SQZI_STORED_S8;
}

sqz_status sqzi_chooser_open(const sqzi_budget_task *task, const sqzi_squeeze_plan *plan,
                             sqzi_chooser *c, sqz_error *error)
{
    const size_t bytes = plan->n_blocks * sizeof *plan->blocks;
    *c = (sqzi_chooser){.task = task, .by_hand = *plan};
    c->n_depths = task->errors->n_order ? task->errors->n_order : 1;
    if (task->options->depth) { /* blocks that stay, checked with the options */
        c->first_depth = plan->n_blocks - task->options->depth;
        c->n_depths = c->first_depth + 1;
    }
    c->by_hand.blocks = sqzi_allocate(plan->allocator, bytes);
    if (!c->by_hand.blocks)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a plan of %u blocks", plan->n_blocks);
    memcpy(c->by_hand.blocks, plan->blocks, bytes);
    return sqzi_setting_items_make(task, &c->by_hand, &c->all, error);
}

void sqzi_chooser_close(sqzi_chooser *c)
{
    sqzi_release(c->by_hand.allocator, c->all.block, c->all.bytes);
    sqzi_release(c->by_hand.allocator, c->by_hand.blocks,
                 c->by_hand.n_blocks * sizeof *c->by_hand.blocks);
}
