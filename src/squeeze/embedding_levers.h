/* SPDX-License-Identifier: Apache-2.0 */
/* The levers of the token embeddings: each makes the table of words of sqzi_weights smaller.
 *
 *   product      row r of the table [V, E] becomes `parts` bytes, each the number of one of 256
 *                centroids of E/parts numbers: e_r = c_1[code_1] | c_2[code_2] | ...
 *   width        e_r = P z_r + mu: a table [V, k] and one factor [E, k]
 *   vocabulary   rows that texts have no use for leave, with their pieces (vocabulary_pruning.h)
 *
 * What a row's error weighs: f = 1 + how often the piece occurs in the calibration texts,
 *
 *     error = sum_r f_r |e_r - e'_r|^2 / sum_r f_r |e_r - mean|^2,   mean = sum_r f_r e_r / sum_r
 * f_r
 *
 * so 0 is exact, and 1 is what the mean alone in every row's place would cost. `counts` are by the
 * rows of the model (sqzi_statistics.word_counts, [V of the model]; rows that have left are passed
 * over); NULL: every row weighs alike.
 *
 * The vocabulary comes first where levers are combined; of product and width one is taken. All
 * results are the same for any number of threads; they may depend on the kernel level, whose f32
 * gemm finds the nearest centroids.
 */
#ifndef SQZI_EMBEDDING_LEVERS_H
#define SQZI_EMBEDDING_LEVERS_H

#include "squeeze/weights.h"

/* The table becomes codes: k-means for each part, a row weighs f^0.75 and a column the gain of the
 * norm behind the embedding (nearer to the whole model on texts of other domains than other powers
 * and no gain; a random permutation or Hadamard blocks before the cut were no nearer), centroids in
 * int8 with a scale each (product_quantise.h). weights->word keeps its rows and columns, without
 * values. *error may be NULL.
 *
 * SQZ_EINVAL: parts does not divide the width (the text names the nearest that do); the table is
 * one of codes already. SQZ_ENOMEM; weights are then as they were.
 * Cost: V * 256 * E multiply-adds a round, some 12 rounds: 5 s of one core for [30522, 384]. */
SQZ_NODISCARD sqz_status sqzi_squeeze_product(sqzi_weights *weights, const uint64_t *counts,
                                              uint32_t parts, double *error, sqz_error *out);

/* The codes and centroids of the first two rounds alone: the error is about a tenth above what
 * sqzi_squeeze_product would report, at a third of the cost. weights stay as they are; drop it with
 * the table's rows and width in any case. */
SQZ_NODISCARD sqz_status sqzi_squeeze_product_draft(const sqzi_weights *weights,
                                                    const uint64_t *counts, uint32_t parts,
                                                    sqzi_weight_product *draft, sqz_error *error);
void sqzi_weight_product_drop(const sqz_allocator *allocator, uint32_t rows, uint32_t width,
                              sqzi_weight_product *product);
/* values [rows, width]: the table that codes and centroids stand for. */
void sqzi_weight_product_values(const sqzi_weight_product *product, uint32_t rows, uint32_t width,
                                float *values);

/* Bytes of the table's tensors in a file: V * parts + 256 * E + 4 * 256 * parts. */
uint64_t sqzi_squeeze_product_bytes(const sqzi_weights *weights, uint32_t parts);

/* The largest number of parts that divides the width and is at most `parts`. */
uint32_t sqzi_squeeze_product_parts(const sqzi_weights *weights, uint32_t parts);

/* The table becomes [V, k] and weights->factor [E, k]: z = P^T (e - mu), P the k first eigenvectors
 * of sum_r f_r (e_r - mu)(e_r - mu)^T. mu goes into the table of types, or else of positions, so
 * nothing else changes.
 *
 * A tied masked-LM decoder multiplies with the table's rows as well: mu would be missing there from
 * every logit, so mu is 0 then and P the eigenvectors of sum_r f_r e_r e_r^T.
 *
 * SQZ_EINVAL: k is 0 or above the width; the table is factorised or one of codes already.
 * SQZ_ENOMEM; SQZ_ENUMERIC: the eigenvectors were not found; weights are then as they were. */
SQZ_NODISCARD sqz_status sqzi_squeeze_width(sqzi_weights *weights, const uint64_t *counts,
                                            uint32_t k, double *error, sqz_error *out);

#endif
