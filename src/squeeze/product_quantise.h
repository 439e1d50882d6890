/* SPDX-License-Identifier: Apache-2.0 */
/* Product quantisation of a table (Jegou, Douze and Schmid: Product Quantization for Nearest
 * Neighbor Search; 2011): rows are cut into parts, and each part of all rows gets 256 centroids by
 * k-means of its own.
 *
 *   seeds      k-means++ (Arthur and Vassilvitskii 2007) on rows drawn by their weights
 *   rounds     nearest centroid by one f32 gemm, argmax_c x c - |c|^2 / 2; centroids become the
 *              weighted means of their rows, one that has none the row that is furthest off; until
 *              a round gains less than a thousandth
 *   integers   centroids to int8, each with a scale fitted to its integers; then rows choose among
 *              what the file will hold
 *
 * Distances are those of x_j gain_j: what is off in column j counts gain_j^2.
 */
#ifndef SQZI_PRODUCT_QUANTISE_H
#define SQZI_PRODUCT_QUANTISE_H

#include "model/context.h"
#include "nn/encoder.h"

enum { SQZI_PRODUCT_ROUNDS = 16 };

/*   rows     [n, width]
 *   weight   [n] > 0
 *   gain     [width] > 0, or NULL for ones
 *   rounds   at most so many; 0: SQZI_PRODUCT_ROUNDS. After two the error is about a tenth above
 *            what it will be
 */
typedef struct sqzi_product_options {
    const float *rows, *weight, *gain;
    uint32_t n, width, parts, rounds;
} sqzi_product_options;

/* codes [n, parts], centroids [parts, 256, width / parts] of scale [parts, 256] each
 * (nn/encoder.h, sqzi_table). parts divides width, which is at most 65,536. All threads of the
 * context; the result is the same for any number of them, and may differ between kernel levels.
 * SQZ_ENOMEM, SQZ_ENUMERIC: a row holds a NaN or an infinity.
 * Cost: n * 256 * width multiply-adds a round. Memory: for each thread 4 (n + 256) width / parts
 * bytes and 12 n. */
SQZ_NODISCARD sqz_status sqzi_product_quantise(const sqz_context *context,
                                               const sqzi_product_options *options, uint8_t *codes,
                                               int8_t *centroids, float *scale, sqz_error *error);

#endif
