/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout by the sequences of a batch: which example a row belongs to, and which of its rows it
 * is. */
#include <math.h>

#include "nn/block_grad.h"

sqzi_mask sqzi_mask_of(const sqzk_grad_table *kernels, const sqzi_dropout *dropout, double p,
                       uint32_t layer, sqzi_dropout_site site)
{
    return (sqzi_mask){.kernels = kernels,
                       .dropout = dropout,
                       .share = dropout ? (uint32_t)lrint(p * 0x1p16) : 0,
                       .layer = layer,
                       .site = site};
}

void sqzi_mask_sequence(const sqzi_mask *mask, uint32_t b, const sqzi_mask_rows *rows)
{
    const sqzi_dropout *d = mask->dropout;
    mask->kernels->dropout(&(sqzk_dropout_args){
        .m = rows->m,
        .n = rows->n,
        .x = rows->x,
        .ldx = rows->ldx,
        .residual = rows->residual,
        .ldr = rows->ldr,
        .out = rows->out,
        .ldo = rows->ldo,
        .seed = {{(uint32_t)d->seed, (uint32_t)(d->seed >> 32)}},
        .share = mask->share,
        .row = (uint32_t)rows->row,
        .example = d->examples[b],
        .epoch = d->epoch,
        .stream = mask->layer << 16 | (uint32_t)mask->site << 8 | (d->views ? d->views[b] : 0u)});
}

void sqzi_mask_batch(const sqzi_mask *mask, const uint32_t *first, const sqzi_mask_rows *rows)
{
    const size_t end = rows->row + rows->m;
    uint32_t b = 0;
    for (size_t row = rows->row, m; row < end; row += m) {
        while (first[b + 1] <= row) b++;
        const size_t done = row - rows->row;
        m = (first[b + 1] < end ? first[b + 1] : end) - row;
        sqzi_mask_rows part = *rows;
        part.row = row - first[b];
        part.m = m;
        part.x += done * rows->ldx;
        if (part.residual) part.residual += done * rows->ldr;
        part.out += done * rows->ldo;
        sqzi_mask_sequence(mask, b, &part);
    }
}
