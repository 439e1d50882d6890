/* SPDX-License-Identifier: Apache-2.0 */
/* In one pass over the order, those that wait before those that come. */
#include "train/distinct.h"

#include <string.h>

static const uint32_t *texts_of(const sqzi_distinct *d, uint32_t row)
{
    return d->numbers + (size_t)row * d->texts;
}

uint32_t sqzi_distinct_most(const sqzi_distinct *d, uint32_t n)
{
    uint32_t most = 0;
    memset(d->stamp, 0, d->n_distinct * sizeof *d->stamp);
    for (uint32_t row = 0; row < n; row++)
        for (uint32_t t = 0; t < d->texts; t++) {
            const uint32_t *texts = texts_of(d, row);
            uint32_t before = 0;
            while (before < t && texts[before] != texts[t]) before++;
            if (before == t && ++d->stamp[texts[t]] > most) most = d->stamp[texts[t]];
        }
    return most;
}

/* Take the row into batch b, marked b + 1, unless it has one of the row's texts. */
static bool take(const sqzi_distinct *d, uint32_t row, uint32_t b)
{
    const uint32_t *texts = texts_of(d, row);
    for (uint32_t t = 0; t < d->texts; t++)
        if (d->stamp[texts[t]] == b + 1) return false;
    for (uint32_t t = 0; t < d->texts; t++) d->stamp[texts[t]] = b + 1;
    return true;
}

void sqzi_distinct_fill(const sqzi_distinct *d, uint32_t *order, uint32_t n, uint32_t batch,
                        uint32_t *begin, uint32_t n_batches)
{
    uint32_t used = 0, next = 0, n_waiting = 0;
    memset(d->stamp, 0, d->n_distinct * sizeof *d->stamp);
    for (uint32_t b = 0; b < n_batches; b++) {
        const size_t even = sqzi_share(n, b, n_batches).end;
        const uint32_t end = even - used < batch ? (uint32_t)even : used + batch;
        uint32_t kept = 0;
        begin[b] = used;
        for (uint32_t i = 0; i < n_waiting; i++)
            if (used < end && take(d, d->waiting[i], b)) order[used++] = d->waiting[i];
            else d->waiting[kept++] = d->waiting[i];
        /* what is written lies before what is read: each row read was written or waits */
        for (; used < end && next < n; next++)
            if (take(d, order[next], b)) order[used++] = order[next];
            else d->waiting[kept++] = order[next];
        n_waiting = kept;
    }
    begin[n_batches] = used;
    memcpy(order + used, d->waiting, n_waiting * sizeof *order);
}
