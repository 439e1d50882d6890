/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of groups dealt out anew until nothing moves. */
#include "squeeze/balanced_groups.h"

#include <stdlib.h>

#include "base/philox.h"

int sqzi_compare_scored(const void *a, const void *b)
{
    const sqzi_scored_item *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static int compare_items(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void sqzi_sort_groups(uint32_t n, uint32_t groups, uint32_t *order)
{
    const size_t each = n / groups;
    for (size_t g = 0; g < groups; g++) qsort(order + g * each, each, sizeof *order, compare_items);
}

/* True where the two groups have gained. */
static bool deal(uint32_t n, uint32_t groups, const double *score, uint32_t g, uint32_t h,
                 uint32_t *order, sqzi_scored_item *room)
{
    const size_t each = n / groups;
    uint32_t *in_g = order + g * each, *in_h = order + h * each;
    double before = 0, after = 0;
    for (size_t i = 0; i < 2 * each; i++) {
        const uint32_t item = i < each ? in_g[i] : in_h[i - each];
        const double *s = score + (size_t)item * groups;
        room[i] = (sqzi_scored_item){s[g] - s[h], item};
        before += i < each ? room[i].score : 0;
    }
    qsort(room, 2 * each, sizeof *room, sqzi_compare_scored);
    for (size_t i = 0; i < each; i++) after += room[i].score;
    /* less than roundings is no gain, or equal deals would take turns */
    if (!(after - before > 1e-12 * (after < 0 ? -after : after))) return false;
    for (size_t i = 0; i < each; i++) {
        in_g[i] = room[i].item;
        in_h[i] = room[each + i].item;
    }
    return true;
}

void sqzi_balance_groups(uint32_t n, uint32_t groups, const double *score, uint32_t *order,
                         sqzi_scored_item *room)
{
    enum { MOST_SWEEPS = 50 };
    bool gained = true;
    for (int sweep = 0; sweep < MOST_SWEEPS && gained; sweep++) {
        gained = false;
        for (uint32_t g = 0; g < groups; g++)
            for (uint32_t h = g + 1; h < groups; h++)
                gained |= deal(n, groups, score, g, h, order, room);
    }
    sqzi_sort_groups(n, groups, order);
}

double sqzi_score_of_groups(uint32_t n, uint32_t groups, const double *score, const uint32_t *order)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += score[(size_t)order[i] * groups + i / (n / groups)];
    return sum;
}

void sqzi_shuffle(uint32_t n, uint32_t start, uint32_t *order)
{
    static const sqzi_philox_key key = {{0x67726f75, 0x70696e67}}; /* "grouping" */
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n; i-- > 1;) {
        const sqzi_philox_block bits = sqzi_philox((sqzi_philox_block){{i, start, 0, 0}}, key);
        const uint32_t j = (uint32_t)((((uint64_t)bits.word[1] << 32 | bits.word[0]) >> 1) %
                                      (i + 1));
        const uint32_t item = order[i];
        order[i] = order[j];
        order[j] = item;
    }
}
